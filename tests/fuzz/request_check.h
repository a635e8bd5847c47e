/* request_check: what must hold of a request of a dialect, whatever its body was. */
#ifndef SIDECAR_TESTS_REQUEST_CHECK_H
#define SIDECAR_TESTS_REQUEST_CHECK_H

#include <errno.h>
#include <strings.h>

#include "proxy/api/params.h"
#include "proxy/codex/thread_params.h"
#include "proxy/codex/transcript.h"
#include "tests/fuzz/fuzz.h"

/* codex reads so many levels, and is silent about a call with more. */
#define CODEX_LEVELS_MAX 127

static inline void
check_is_json(struct json_buf *text)
{
	json_t *value;

	HOLDS(!text->failed && memchr(text->data, '\n', text->len) == NULL);
	value = fuzz_json(text->data, text->len);
	HOLDS(json_is_object(value) && !json_deeper_than(value, CODEX_LEVELS_MAX - 3));
	json_decref(value);
	json_buf_free(text);
}

/* The three calls of its turn are JSON that codex reads. */
static inline void
check_calls(const struct conversation *c)
{
	const struct thread_config config = {.workspace = "/w", .base_instructions = ""};
	struct conversation with = *c;
	char model[] = "m";
	struct json_buf start = {.data = NULL}, inject = {.data = NULL}, turn = {.data = NULL};
	struct json_buf text = {.data = NULL};
	int r;

	if (with.model == NULL)
		with.model = model;
	thread_params_start(&start, &config, &with);
	check_is_json(&start);
	thread_params_inject(&inject, "t", &with);
	check_is_json(&inject);
	thread_params_turn(&turn, "t", &with);
	check_is_json(&turn);
	r = thread_params_turn_as_text(&text, "t", &with, NULL);
	HOLDS(r == 0 || r == -EINVAL || r == -EMSGSIZE);
	if (r == 0)
		check_is_json(&text);
}

/* An image is in the request, or will be fetched and says where its URL is. */
static inline void
check_images(const json_t *item)
{
	const json_t *content = json_object_get(item, "content"), *part;
	size_t i;

	json_array_foreach(content != NULL ? content : json_object_get(item, "output"), i, part) {
		const char *type = json_get_string(part, "type");
		const char *url = json_get_string(part, "image_url");
		bool fetched = json_object_get(part, "param") != NULL;

		HOLDS(type != NULL);
		if (strcmp(type, "input_image") != 0) {
			HOLDS(!fetched);
			continue;
		}
		HOLDS(url != NULL && strncasecmp(url, fetched ? "https://" : "data:image/",
		                                 fetched ? 8 : 11) == 0);
		HOLDS(!fetched || json_get_string(part, "param") != NULL);
	}
}

static inline void
check_taken(const struct request *r)
{
	const json_t *items = r->conversation->items;
	const json_t *item;
	size_t i;

	HOLDS(json_is_array(items));
	json_array_foreach(items, i, item) {
		HOLDS(json_get_string(item, "type") != NULL);
		HOLDS(json_object_get(item, "id") == NULL || json_get_string(item, "id") != NULL);
		check_images(item);
	}
	HOLDS(r->conversation->effort != NULL);
	HOLDS(!r->ignored.failed &&
	      memchr(r->ignored.data != NULL ? r->ignored.data : "", '\n', r->ignored.len) == NULL);
	check_calls(r->conversation);
}

static inline void
check_refused(const struct api_error *e)
{
	AUTO_FREE char *text = NULL;
	size_t len;
	json_t *root;
	const json_t *error;

	HOLDS(e->status >= 400 && e->status < 500);
	HOLDS(e->type[0] != '\0' && e->message[0] != '\0');
	/* whoever sent no JSON has no parameter to mend; the name of an unknown one may be "" */
	HOLDS(e->param[0] != '\0' || strcmp(e->code, "invalid_json") == 0 ||
	      strcmp(e->code, "unknown_parameter") == 0);
	text = api_error_text(e, &len);
	HOLDS(text != NULL);
	root = fuzz_json(text, len);
	error = json_get_object(root, "error");
	HOLDS(json_get_string(error, "message") != NULL && json_get_string(error, "type") != NULL);
	HOLDS(json_object_get(error, "param") != NULL && json_object_get(error, "code") != NULL);
	json_decref(root);
}

#endif
