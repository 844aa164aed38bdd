/*
 * Calls AWS for aws_interop.py.
 *
 * usage: aws_interop call SERVICE PATH <body      (SERVICE: ses, sns, sts; PATH "/": a form)
 *        aws_interop send FROM RECIPIENT... <message
 *        aws_interop verify TOPIC CERTIFICATE-FILE <envelope of SNS
 *
 * AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
 * AWS_CONTAINER_CREDENTIALS_FULL_URI and SES_CONFIGURATION_SET come from the environment. call
 * prints the answer, or the outcome, status, code and text; send a line for each recipient: result,
 * code, text, and after the first the message's id; verify what the server would make of it.
 */
#include "base/fault.h"
#include "crypto/init.h"
#include "mail/sns.h"
#include "mail/sns_trust.h"
#include "mail/transport.h"
#include "net/aws.h"

#include <stdlib.h>

enum { INPUT_MAX = 32 * 1024 * 1024 };

static int read_all(FILE *from, struct buf *b)
{
    char piece[65536];
    size_t n;

    while ((n = fread(piece, 1, sizeof piece, from)) > 0)
        buf_add(b, piece, n);
    return buf_fault(b);
}

static int call(const struct config *config, char **argv, struct str body)
{
    struct aws_options options = aws_options_of(config);
    struct aws_request request = {.body = body};
    struct aws_error error = {0};
    struct buf answer = buf_init(AWS_ANSWER_MAX);
    struct aws *aws = NULL;
    int r = aws_new(&options, &aws);

    request.service = strcmp(argv[0], "sns") == 0   ? AWS_SNS
                      : strcmp(argv[0], "sts") == 0 ? AWS_STS
                                                    : AWS_SES;
    if (strcmp(argv[1], "/") != 0)
        request.path = str_of(argv[1]);
    if (r == 0)
        r = aws_call(aws, &request, &answer, &error);
    if (r > 0)
        printf("%s %d %s %s\n", aws_outcome_text(r), error.status, error.code, error.text);
    else if (r < 0)
        printf("%s: %s\n", fault_name(r), fault_message());
    else
        printf("%.*s\n", STR_ARG(buf_str(&answer)));
    buf_free(&answer);
    aws_free(aws);
    return r != 0;
}

static int send_message(const struct config *config, int argc, char **argv, struct str mime)
{
    static const char *const results[] = {"accepted", "temporary", "permanent", "uncertain"};
    struct str to[MAIL_RECIPIENTS_MAX];
    struct transport_fate fates[MAIL_RECIPIENTS_MAX];
    struct transport_message m = {.template_name = STR("welcome"),
                                  .from = str_of(argv[0]),
                                  .recipients = to,
                                  .n = (size_t)argc - 1,
                                  .mime = mime};
    struct transport *transport = NULL;
    char id[TRANSPORT_ID_SIZE] = "";

    if (argc - 1 > MAIL_RECIPIENTS_MAX)
        return 2;
    for (size_t i = 0; i < m.n; i++)
        to[i] = str_of(argv[1 + i]);
    int r = transport_ses_new(config, &transport);
    if (r == 0)
        r = transport->kind->send(transport, &m, id, fates);
    if (r)
        printf("%s: %s\n", fault_name(r), fault_message());
    for (size_t i = 0; r == 0 && i < m.n; i++)
        printf("%s %s %s%s\n", results[fates[i].result], fates[i].code, fates[i].text,
               i == 0 ? id : "");
    transport_free(transport);
    return r != 0;
}

/* The certificate is the file, whatever the URL. */
static int fetch_file(void *context, const char *url, struct buf *ret_pem)
{
    FILE *file = fopen(context, "r");

    if (!file)
        return SNS_FETCH_UNREACHABLE;
    int r = read_all(file, ret_pem);
    fclose(file);
    return r;
}

static int verify(char **argv, struct str envelope)
{
    struct str topic = str_of(argv[0]);
    struct certificate_trust *trust = NULL;
    struct sns_verifier *verifier = NULL;
    struct sns_settings settings = {
        .topics = &topic, .topic_count = 1, .fetch = fetch_file, .context = argv[1]};
    struct arena arena = arena_init(SNS_ARENA_MAX);
    struct sns_message message;
    int r = crypto_init();

    if (r == 0 && (r = sns_trust_new(&trust)) == 0) {
        settings.trust = trust;
        r = sns_verifier_new(&settings, &verifier);
    }
    if (r == 0)
        r = sns_verify(verifier, envelope, clock_now(), &arena, &message);
    printf("%s\n", r == 0 ? "verified" : r > 0 ? sns_outcome_text(r) : fault_message());
    sns_verifier_free(verifier);
    certificate_trust_free(trust);
    arena_free(&arena);
    return r != 0;
}

int main(int argc, char **argv)
{
    struct config config = {
        .aws_region = getenv("AWS_REGION"),
        .aws_endpoint_url = getenv("AWS_ENDPOINT_URL"),
        .aws_access_key_id = getenv("AWS_ACCESS_KEY_ID"),
        .aws_secret_access_key = getenv("AWS_SECRET_ACCESS_KEY"),
        .aws_session_token = getenv("AWS_SESSION_TOKEN"),
        .aws_container_full = getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
        .ses_configuration_set = getenv("SES_CONFIGURATION_SET"),
    };
    struct buf input = buf_init(INPUT_MAX);
    int exit_code = 2;

    if (argc >= 4 && read_all(stdin, &input) == 0 && strcmp(argv[1], "call") == 0)
        exit_code = call(&config, argv + 2, buf_str(&input));
    else if (argc >= 4 && strcmp(argv[1], "send") == 0)
        exit_code = send_message(&config, argc - 2, argv + 2, buf_str(&input));
    else if (argc >= 4 && strcmp(argv[1], "verify") == 0)
        exit_code = verify(argv + 2, buf_str(&input));
    buf_free(&input);
    return exit_code;
}
