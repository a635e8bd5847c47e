/* responses_stored: what can be asked about a response that has been made. */
#include "proxy/api/answer.h"
#include "proxy/api/errors.h"
#include "proxy/api/responses.h"

#include <string.h>

static void
refuse_unknown(struct http_exchange *x, const char *id)
{
	struct api_error error;

	api_error_set(&error, 404, "invalid_request_error", NULL,
	              "Response with id '%.128s' not found: this server keeps the latest responses "
	              "in its memory only.",
	              id);
	api_error_reply(x, &error);
}

static void
refuse_path(struct http_exchange *x)
{
	struct api_error error;

	api_error_set(&error, 404, "invalid_request_error", "unknown_url",
	              "There is nothing at this path: %.128s", http_path(x));
	api_error_reply(x, &error);
}

void
responses_get(struct api *api, struct http_exchange *x, const char *path)
{
	const char *text;
	size_t len = 0;

	if (strchr(path, '/') != NULL) {
		refuse_path(x);
		return;
	}
	text = response_store_get(api->responses, http_caller(x), path, &len);
	if (text != NULL)
		http_reply(x, 200, "application/json", text, len);
	else
		refuse_unknown(x, path);
}

void
responses_delete(struct api *api, struct http_exchange *x, const char *path)
{
	if (strchr(path, '/') != NULL)
		refuse_path(x);
	else if (!response_store_delete(api->responses, http_caller(x), path))
		refuse_unknown(x, path);
	else
		answer_json(x, json_pack("{s:s,s:s,s:b}", "id", path, "object", "response",
		                         "deleted", 1));
}

/* Every response is made while its caller waits: one that has an id to ask for is over. */
void
responses_post(struct api *api, struct http_exchange *x, const char *path)
{
	static const char cancel[] = "/cancel";
	struct api_error error;
	char id[128];
	size_t len = strlen(path), tail = sizeof(cancel) - 1;
	size_t kept_len;

	if (len <= tail || len - tail >= sizeof(id) || strcmp(path + len - tail, cancel) != 0 ||
	    strcspn(path, "/") != len - tail) {
		refuse_path(x);
		return;
	}
	memcpy(id, path, len - tail);
	id[len - tail] = '\0';
	if (response_store_get(api->responses, http_caller(x), id, &kept_len) == NULL) {
		refuse_unknown(x, id);
		return;
	}
	(void)api_error_invalid(&error, NULL, NULL,
	                        "Only responses made with 'background' can be cancelled, which "
	                        "this server does not have: to cancel one, close its connection.");
	api_error_reply(x, &error);
}
