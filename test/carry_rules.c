/* Prints the table of what a restore carries over, for the documents: a line a rule, tabs between
 * what it says, its key, its columns and which of two values it takes. */
#include "deploy/carry_rules.h"

#include <stdio.h>

int main(void)
{
    for (size_t i = 0; i < carry_rules_count; i++) {
        const struct carry_rule *rule = &carry_rules[i];
        if (rule->name && !rule->counts)
            printf("%s\t%s\t%s\t%s\n", rule->says, rule->key, rule->columns, rule->tighter);
    }
    return 0;
}
