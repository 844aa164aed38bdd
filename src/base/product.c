#include "base/product.h"

const struct product_part product_parts[PRODUCT_PARTS] = {
    {"Sessions that can be ended", "one, a user's, or a million users' at once"},
    {"Mail that is watched", "who bounced or complained is not written to again"},
    {"An audit trail that shows tampering", "what was edited or cut off is named"},
};
