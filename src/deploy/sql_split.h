/*
 * A file of SQL, divided into its statements as the server would, with where each stands.
 * Rooms: deploy, cli. Ownership: statements point into the text. Threads: any.
 *
 * A semicolon ends a statement where it stands in no quote, no comment, no parentheses (as in
 * CREATE RULE) and no BEGIN ATOMIC body of a function. What lies between statements is white space,
 * comments and semicolons, so that the file is its statements and these, byte for byte.
 */
#ifndef HOLDFAST_DEPLOY_SQL_SPLIT_H
#define HOLDFAST_DEPLOY_SQL_SPLIT_H

#include "deploy/sql_lex.h"

struct sql_statement {
    struct str text;  /* without its semicolon */
    size_t begin;     /* where it begins in the file, in bytes */
    int line, column; /* of that, from 1; columns are characters */
};

struct sql_splitter {
    struct sql_lexer lexer;
    const char *begin;
    const char *counted; /* line and column are of here */
    int line, column;
};

struct sql_splitter sql_splitter(struct str sql);

/* Outcomes of sql_split_next. */
enum {
    SQL_SPLIT_END = 1,    /* there is no further statement */
    SQL_SPLIT_REFUSED = 2 /* fault_message() says "line 3: …": what no server would understand */
};

/* The next statement. Returns 0 or an outcome. */
int sql_split_next(struct sql_splitter *s, struct sql_statement *ret);

#endif
