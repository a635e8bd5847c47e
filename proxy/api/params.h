/* params: what a request of every dialect comes to, and what the readers of its parameters share:
 * where they are, the ways in which a parameter can be wrong, and those that all dialects have.
 * Pure. */
#ifndef SIDECAR_PROXY_API_PARAMS_H
#define SIDECAR_PROXY_API_PARAMS_H

#include <stdbool.h>

#include "common/json.h"
#include "proxy/api/errors.h"
#include "proxy/conversation.h"

/* The first member of each dialect's own. */
struct request {
	struct conversation *conversation; /* model NULL when the caller named none */
	bool stream;
	const char *json_object; /* what asks for one as the answer; NULL: nothing */
	bool single_tool_call;   /* parallel_tool_calls: false */
	bool tool_call_required; /* an answer without a call is an error */
	struct json_buf ignored; /* names of accepted parameters without effect, ", " between */
};

struct param_reader {
	struct request *out;
	const json_t *root;
	struct api_error *error;

	/* tools.h */
	json_t *tool_names;       /* object; of the tools so far */
	const char *tool_choice;  /* auto, none or required; "auto" when absent */
	const char *choice_param; /* where it came from */
	json_t *allowed_tools;    /* array of names, for a choice that names some; NULL: all */
};

/* Reads one parameter that is present and not null. False: *r->error is set. */
typedef bool (*param_fn)(struct param_reader *r, const char *name, json_t *value);

struct param {
	const char *name;
	param_fn read;
};

/* The body as a JSON object; NULL: *error is set. */
json_t *params_parse(const char *body, size_t len, struct api_error *error);
/* Makes *r and *r->out ready for a request that has this body. False: *error is set; both need
 * their fini all the same. */
bool params_begin(struct param_reader *r, struct request *out, const json_t *root,
                  struct api_error *error);
/* Reads each parameter by the table; one that is not in it is an error, null is absent. */
bool params_read(struct param_reader *r, const struct param *table, size_t count);
/* When all else is read: asks the model for what Codex has no parameter for, and fills in the
 * defaults. */
bool params_end(struct param_reader *r, const char *default_effort);
void params_fini(struct param_reader *r);
void request_fini(struct request *r);

/* Each of these says what is wrong in *r->error, and returns false. */
bool param_wrong_type(struct param_reader *r, const char *name, const char *wanted);
bool param_unsupported_value(struct param_reader *r, const char *name, const char *what);
bool param_invalid_value(struct param_reader *r, const char *name, const char *what);
bool param_missing(struct param_reader *r, const char *name);
bool param_out_of_memory(struct param_reader *r);

/* Readers of parameters that mean the same in every dialect, whatever they are called there. */
bool param_model(struct param_reader *r, const char *name, json_t *value);
bool param_stream(struct param_reader *r, const char *name, json_t *value);
/* value: stream_options; option: the one of them that counts, kept in *out. */
bool param_stream_option(struct param_reader *r, bool *out, const char *name, const json_t *value,
                         const char *option);
bool param_effort(struct param_reader *r, const char *name, json_t *value);
bool param_verbosity(struct param_reader *r, const char *name, json_t *value);
bool param_service_tier(struct param_reader *r, const char *name, json_t *value);
bool param_parallel(struct param_reader *r, const char *name, json_t *value);
/* The parameter is taken, has no effect, and is named in the answer. */
bool param_ignored(struct param_reader *r, const char *name, json_t *value);
bool param_refused(struct param_reader *r, const char *name, json_t *value);

/* A short word such as an effort or a tier, kept in *out. */
bool param_word(struct param_reader *r, char **out, const char *name, json_t *value);
bool param_boolean(struct param_reader *r, bool *out, const char *name, json_t *value);
/* The form of the answer: text, json_object, or json_schema with the members of schema_wrapper
 * (NULL is fine), whose path is schema_name. name: lives as long as the request. */
bool param_format(struct param_reader *r, const char *name, const json_t *value,
                  const char *schema_name, const json_t *schema_wrapper);
/* schema: NULL is fine. */
bool param_schema_is_flat_enough(struct param_reader *r, const char *name, const json_t *schema);
/* 1 to max characters of a-z, A-Z, 0-9, _ and -. */
bool param_is_name(const char *text, size_t max);
/* One developer message at the end of the history: what Codex has no parameter for. */
bool param_ask(struct param_reader *r, const char *text);

#endif
