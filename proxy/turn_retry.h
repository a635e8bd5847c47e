/* turn_retry: which failure of a turn is worth another try, and when. Pure. */
#ifndef SIDECAR_TURN_RETRY_H
#define SIDECAR_TURN_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/failure.h"

/* attempts: made so far, the one that failed included. */
bool turn_retry_may_help(const struct failure *failure, unsigned attempts);
/* Has it been tried as often as a failure of that kind is? */
bool turn_retry_is_used_up(const struct failure *failure, unsigned attempts);
uint64_t turn_retry_pause_ms(const struct failure *failure, unsigned attempts);

#endif
