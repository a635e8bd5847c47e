/* parts: the content of messages as the parts of Responses items. */
#include "proxy/api/parts.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"

json_t *
part_text(const char *type, json_t *text, struct api_error *error)
{
	json_t *part = json_pack("{s:s,s:O}", "type", type, "text", text);

	if (part == NULL)
		api_error_out_of_memory(error);
	return part;
}

/* Codex is silent about a call with any other word in it, and the call would time out. */
static bool
is_detail(const char *detail)
{
	return detail != NULL && (strcmp(detail, "auto") == 0 || strcmp(detail, "low") == 0 ||
	                          strcmp(detail, "high") == 0 || strcmp(detail, "original") == 0);
}

static bool
is_data_url(const char *url)
{
	return strncmp(url, "data:image/", 11) == 0 && strstr(url, ";base64,") != NULL;
}

/* Codex takes data URLs only: with its param, as conversation.h says, another one is fetched. */
json_t *
part_image(json_t *url, const char *url_param, json_t *detail, const char *detail_param,
           struct api_error *error)
{
	const char *text = json_text(url);
	bool fetched;
	json_t *made;

	if (json_is_null(detail))
		detail = NULL;
	if (text == NULL) {
		(void)api_error_invalid(error, NULL, url_param,
		                        "Invalid '%s': a string is required.", url_param);
		return NULL;
	}
	fetched = strncasecmp(text, "https://", 8) == 0;
	if (!fetched && !is_data_url(text)) {
		(void)api_error_invalid(error, "invalid_image_url", url_param,
		                        "Invalid '%s': only https URLs and base64 data URLs "
		                        "(data:image/...;base64,...) are supported.",
		                        url_param);
		return NULL;
	}
	if (detail != NULL && !is_detail(json_text(detail))) {
		(void)api_error_invalid(
			error, NULL, detail_param,
			"Invalid '%s': 'auto', 'low', 'high' or 'original' is required.",
			detail_param);
		return NULL;
	}
	made = json_pack("{s:s,s:O,s:O*,s:s*}", "type", "input_image", "image_url", url, "detail",
	                 detail, "param", fetched ? url_param : NULL);
	if (made == NULL)
		api_error_out_of_memory(error);
	return made;
}

bool
part_append(json_t *parts, json_t *part, struct api_error *error)
{
	if (part == NULL)
		return false;
	if (json_array_append_new(parts, part) == 0)
		return true;
	api_error_out_of_memory(error);
	return false;
}
