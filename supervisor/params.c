/* params: check the params of a control message. */
#include "supervisor/params.h"

#include <string.h>

bool
params_only(struct control_request *req, const json_t *params, const char *const *allowed)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)params, key, value) {
		const char *const *a = allowed;

		while (a != NULL && *a != NULL && strcmp(*a, key) != 0)
			a++;
		if (a != NULL && *a != NULL)
			continue;
		if (req != NULL)
			control_reply_error(req, CONTROL_INVALID_PARAMS, "unknown member %s", key);
		return false;
	}
	return true;
}
