/*
 * What Holdfast is, in the words of its help, of the API's page and of the documents.
 * Rooms: any. Ownership: constants. Threads: any.
 */
#ifndef HOLDFAST_PRODUCT_H
#define HOLDFAST_PRODUCT_H

#define PRODUCT_TAGLINE "Holdfast keeps a web application safe in production."

/* "name: what", a sentence without its full stop. */
struct product_part {
    const char *name, *what;
};

enum { PRODUCT_PARTS = 3 };

extern const struct product_part product_parts[PRODUCT_PARTS];

#endif
