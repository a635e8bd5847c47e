/* abilities: what a request may ask for, and this server cannot do as it is set up. */
#include "proxy/api/abilities.h"

bool
abilities_check(const struct settings *settings, const struct conversation *c,
                const char *tools_param, struct api_error *error)
{
	/* Functions are offered through the experimental API, which this mode does without. */
	if (settings->history_mode != HISTORY_TRANSCRIPT || c->tools == NULL)
		return true;
	return api_error_invalid(
		error, "unsupported_parameter", tools_param,
		"Unsupported parameter: '%s' is not available on this server, which sends "
		"conversations as one text (CODEX_HISTORY_MODE=transcript).",
		tools_param);
}
