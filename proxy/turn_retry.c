/* turn_retry: which failure of a turn is worth another try, and when. Pure. */
#include "proxy/turn_retry.h"

/* A turn that was begun so often has met something that another try will not cure. One that lost
 * its app-server, or found it busy, is tried patiently: a crash is over in seconds. What codex has
 * answered wrongly, or not at all, it mostly does again. */
#define ATTEMPTS_MAX       8
#define ATTEMPTS_WRONG_MAX 3
/* Doubled each time: a backend that says "overloaded" must not be asked again in the same moment.
 */
#define PAUSE_MS           50
#define DOUBLINGS_MAX      6

bool
turn_retry_is_used_up(const struct failure *failure, unsigned attempts)
{
	bool wrong =
		failure->kind == FAILURE_BACKEND_ERROR || failure->kind == FAILURE_BACKEND_TIMEOUT;

	return attempts >= (wrong ? ATTEMPTS_WRONG_MAX : ATTEMPTS_MAX);
}

bool
turn_retry_may_help(const struct failure *failure, unsigned attempts)
{
	if (!failure->retryable || turn_retry_is_used_up(failure, attempts))
		return false;
	/* What the provider said has been retried by codex itself already. */
	return failure->class_ == FAILURE_SERVER || failure->class_ == FAILURE_BUSY;
}

uint64_t
turn_retry_pause_ms(const struct failure *failure, unsigned attempts)
{
	unsigned doublings = attempts < DOUBLINGS_MAX ? attempts - 1 : DOUBLINGS_MAX - 1;

	/* A backend that went once is no reason to wait: another one may be there. */
	if (failure->kind == FAILURE_BACKEND_LOST && attempts == 1)
		return 0;
	return (uint64_t)PAUSE_MS << doublings;
}
