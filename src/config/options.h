/*
 * The table of options. Rooms: config. Everything here is static.
 */
#ifndef HOLDFAST_CONFIG_OPTIONS_H
#define HOLDFAST_CONFIG_OPTIONS_H

#include "config/config.h"

enum option_type { OPTION_TEXT, OPTION_INT, OPTION_BOOL, OPTION_CHOICE };

enum option_flag {
    OPTION_SECRET = 1, /* never printed */
    OPTION_RELOAD = 2  /* taken over by SIGHUP */
};

struct option {
    const char *key;
    enum option_type type;
    unsigned flags;
    size_t offset;              /* in struct config */
    const char *by_default;     /* NULL: none */
    const char *production;     /* the default in production where it differs, else NULL */
    int64_t min, max;           /* of numbers */
    const char *const *choices; /* NULL-terminated; the value is the index */
    const char *help;
};

extern const struct option config_options[];
extern const size_t config_option_count;

/* The option of this name, or NULL. */
const struct option *option_find(struct str key);

/* Where the option's value lies in c. */
char **option_text(const struct option *o, struct config *c);
int64_t *option_int(const struct option *o, struct config *c);
bool *option_bool(const struct option *o, struct config *c);

/*
 * Sets an option from its text. Returns 0; 1 with a line in *problems; or a fault. The text of a
 * secret never stands in a problem.
 */
int option_set(const struct option *o, struct config *c, struct str value, struct buf *problems);

#endif
