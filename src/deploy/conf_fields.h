/*
 * The table of keys in holdfast.yml. Rooms: deploy. Everything here is static.
 */
#ifndef HOLDFAST_DEPLOY_CONF_FIELDS_H
#define HOLDFAST_DEPLOY_CONF_FIELDS_H

#include "deploy/conf.h"

enum conf_type {
    CONF_TEXT,
    CONF_URL, /* http:// or https:// */
    CONF_NUMBER,
    CONF_DURATION, /* "250ms", "5s", "10m", "2h"; in ms */
    CONF_SWITCH,
    CONF_CHOICE,  /* the value is the index */
    CONF_WORDS,   /* a list of texts, or one text */
    CONF_COMMANDS /* a list of commands, each a list of words */
};

enum conf_flag { CONF_NEEDED = 1, CONF_SECRET = 2 };

struct conf_field {
    const char *path; /* "health.interval" */
    enum conf_type type;
    unsigned flags;
    unsigned kinds; /* of target that take it, a bit each; 0: all */
    size_t offset;
    const char *by_default; /* NULL: none */
    int64_t min, max;       /* of numbers, and of durations in ms */
    const char *const *choices;
    const char *help;
};

extern const struct conf_field conf_environment_fields[], conf_route_fields[];
extern const size_t conf_environment_fields_count, conf_route_fields_count;

#endif
