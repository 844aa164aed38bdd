/*
 * Stands in for a program that a test answers for: under that program's name it tells the test, at
 * the Unix socket in STAND_IN, its name, its arguments, its environment and where it runs, and does
 * what the answer says.
 *
 * Asked: the texts of each of the four, each ended by NUL, with an empty one behind the arguments
 * and behind the environment. Answered: "CODE N\n", N bytes for the standard output, the rest for
 * the standard error. An answer that is cut off ends it with 97.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { CUT_OFF = 97, NO_TEST = 98 };

static int reach(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || strlen(path) >= sizeof address.sun_path)
        return -1;
    memcpy(address.sun_path, path, strlen(path));
    return connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? fd : -1;
}

static void ask(FILE *test, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    char *here = getcwd(NULL, 0);

    fwrite(slash ? slash + 1 : argv[0], strlen(slash ? slash + 1 : argv[0]) + 1, 1, test);
    for (char **arg = argv + 1; *arg; arg++)
        fwrite(*arg, strlen(*arg) + 1, 1, test);
    fputc('\0', test);
    for (char **variable = environ; *variable; variable++)
        fwrite(*variable, strlen(*variable) + 1, 1, test);
    fputc('\0', test);
    fputs(here ? here : "", test);
    fputc('\0', test);
    fflush(test);
    free(here);
}

static int answer(FILE *test)
{
    char line[64], piece[4096], *end;
    size_t n;

    if (!fgets(line, sizeof line, test) || !strchr(line, '\n'))
        return CUT_OFF;
    long code = strtol(line, &end, 10), left = strtol(end, NULL, 10);
    while ((n = fread(piece, 1, left && left < (long)sizeof piece ? (size_t)left : sizeof piece,
                      test)) > 0) {
        fwrite(piece, 1, n, left ? stdout : stderr);
        left -= left ? (long)n : 0;
    }
    return left ? CUT_OFF : (int)code;
}

int main(int argc, char **argv)
{
    const char *path = getenv("STAND_IN");
    int fd = path ? reach(path) : -1;
    FILE *to = fd < 0 ? NULL : fdopen(fd, "w"), *from = fd < 0 ? NULL : fdopen(dup(fd), "r");

    if (!to || !from) {
        fprintf(stderr, "no test answers for %s\n", argv[0]);
        return NO_TEST;
    }
    ask(to, argv);
    shutdown(fd, SHUT_WR);
    int code = answer(from);
    fclose(to);
    fclose(from);
    return code;
}
