/*
 * JSON that holds secrets: what the parser frees is overwritten.
 * Rooms: all below crypto. Threads: any.
 */
#ifndef HOLDFAST_CRYPTO_WIPED_JSON_H
#define HOLDFAST_CRYPTO_WIPED_JSON_H

/*
 * From the first call on jansson's memory is overwritten as it is given back, for the whole
 * process; further calls do nothing. To be called before each parse of what may hold secrets.
 */
void wiped_json(void);

#endif
