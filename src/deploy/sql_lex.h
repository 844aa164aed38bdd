/*
 * The words of PostgreSQL's SQL, as its own scanner divides them (PostgreSQL 15, "Lexical
 * Structure"), with standard_conforming_strings on.
 * Rooms: deploy, cli. Ownership: tokens point into the text. Threads: any.
 */
#ifndef HOLDFAST_DEPLOY_SQL_LEX_H
#define HOLDFAST_DEPLOY_SQL_LEX_H

#include "base/buf.h"

enum sql_token_kind {
    SQL_END,
    SQL_WORD, /* a keyword or an identifier without quotes */
    SQL_NAME, /* an identifier in quotes */
    SQL_STRING, /* '…', E'…', U&'…', B'…', X'…', N'…', with what continues it on further lines */
    SQL_DOLLAR,    /* $tag$…$tag$ */
    SQL_NUMBER,    /* digits and a fraction; an exponent is a word behind it */
    SQL_PARAMETER, /* $1 */
    SQL_MARK,      /* any other byte; an operator is several */
    SQL_BACKSLASH, /* no SQL: a command of psql's */
    SQL_UNENDED    /* a quote or comment that the text ends in */
};

struct sql_token {
    enum sql_token_kind kind;
    struct str text; /* as it stands there, with its quotes */
};

struct sql_lexer {
    const char *p, *end;
};

static inline struct sql_lexer sql_lexer(struct str sql)
{
    return (struct sql_lexer){sql.p, sql.p + sql.n};
}

/* The next token, past white space and comments; SQL_END again and again at the end. */
struct sql_token sql_next(struct sql_lexer *l);

/* Whether the token is this word, written in capitals here; a quoted one never is. */
bool sql_is(struct sql_token t, const char *word);
bool sql_is_mark(struct sql_token t, char c);

/* A lexer and the token that it is at: for reading a statement with a look ahead. */
struct sql_cursor {
    struct sql_lexer lexer;
    struct sql_token t;
    const char *before; /* where the token before it ended */
    int depth;          /* of parentheses and brackets that are open before t */
};

struct sql_cursor sql_cursor(struct str sql);
void sql_step(struct sql_cursor *c);

/* Takes the words where all of them come next: "IF NOT EXISTS". Returns whether they did. */
bool sql_take(struct sql_cursor *c, const char *words);

/* Takes a name, qualified or not, quoted or not, as it stands there; empty where none comes. */
struct str sql_take_name(struct sql_cursor *c);

/*
 * Appends the statement on one line: without comments, with single spaces, and cut behind max
 * bytes. masked: what stands in strings is left out, which may be somebody's.
 */
int sql_brief(struct str sql, size_t max, bool masked, struct buf *out);

#endif
