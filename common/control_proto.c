/* control_proto: JSON-RPC 2.0 as spoken on the control socket, one message a line. */
#include "common/control_proto.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/json.h"

/* --- reading -------------------------------------------------------------------------------- */

static bool
is_one_of(const char *key, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(key, names[i]) == 0)
			return true;
	return false;
}

static int
only_known_members(json_t *object, const char *const *names, size_t count, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value) {
		if (!is_one_of(key, names, count))
			return err_set(err, CONTROL_INVALID_REQUEST, "unknown member %s", key);
	}
	return 0;
}

/* jansson lets strings hold NUL; method names and messages are C strings here. */
static const char *
plain_string(const json_t *value)
{
	const char *text = json_string_value(value);

	return text != NULL && strlen(text) == json_string_length(value) ? text : NULL;
}

static int
parse_id(struct control_msg *out, struct err *err)
{
	json_t *id = json_object_get(out->root, "id");

	if (id != NULL && !json_is_string(id) && !json_is_integer(id) && !json_is_null(id))
		return err_set(err, CONTROL_INVALID_REQUEST, "id is neither string nor integer");
	out->id = json_incref(id);
	return 0;
}

static int
parse_call(struct control_msg *out, json_t *method, struct err *err)
{
	static const char *const known[] = {"jsonrpc", "id", "method", "params"};
	int r = only_known_members(out->root, known, NELEM(known), err);

	if (r < 0)
		return r;
	out->method = plain_string(method);
	if (out->method == NULL || out->method[0] == '\0')
		return err_set(err, CONTROL_INVALID_REQUEST, "method is not a name");
	if (json_is_null(out->id))
		return err_set(err, CONTROL_INVALID_REQUEST, "id is null");
	out->params = json_object_get(out->root, "params");
	if (out->params != NULL && !json_is_object(out->params))
		return err_set(err, CONTROL_INVALID_REQUEST, "params is not an object");
	out->kind = out->id != NULL ? CONTROL_REQUEST : CONTROL_NOTIFICATION;
	return 0;
}

static int
parse_error_answer(struct control_msg *out, json_t *error, struct err *err)
{
	static const char *const known[] = {"code", "message", "data"};
	json_t *code = json_object_get(error, "code");
	int r = only_known_members(error, known, NELEM(known), err);

	if (r < 0)
		return r;
	out->message = plain_string(json_object_get(error, "message"));
	if (out->message == NULL || !json_is_integer(code) ||
	    json_integer_value(code) < INT32_MIN || json_integer_value(code) > INT32_MAX)
		return err_set(err, CONTROL_INVALID_REQUEST, "error without code and message");
	out->code = (int)json_integer_value(code);
	out->kind = CONTROL_ERROR;
	return 0;
}

static int
parse_answer(struct control_msg *out, struct err *err)
{
	static const char *const known[] = {"jsonrpc", "id", "result", "error"};
	json_t *error = json_object_get(out->root, "error");
	int r = only_known_members(out->root, known, NELEM(known), err);

	if (r < 0)
		return r;
	out->result = json_object_get(out->root, "result");
	if ((error == NULL) == (out->result == NULL))
		return err_set(err, CONTROL_INVALID_REQUEST,
		               "neither a method nor either of result and error");
	if (out->id == NULL || (json_is_null(out->id) && error == NULL))
		return err_set(err, CONTROL_INVALID_REQUEST, "an answer without id");
	if (error != NULL)
		return parse_error_answer(out, error, err);
	out->kind = CONTROL_RESULT;
	return 0;
}

int
control_parse(struct control_msg *out, const char *line, size_t len, struct err *err)
{
	struct err why = {.code = 0};
	const char *version;
	json_t *method;
	int r;

	*out = (struct control_msg){.kind = CONTROL_REQUEST};
	out->root = json_parse(line, len, &why);
	if (out->root == NULL && why.code == -ENOMEM)
		return err_set(err, CONTROL_INTERNAL_ERROR, "out of memory");
	if (out->root == NULL)
		return err_set(err, CONTROL_PARSE_ERROR, "not JSON: %s", why.text);
	if (!json_is_object(out->root))
		return err_set(err, CONTROL_INVALID_REQUEST, "not an object");
	r = parse_id(out, err);
	if (r < 0)
		return r;
	version = json_get_string(out->root, "jsonrpc");
	if (version == NULL || strcmp(version, "2.0") != 0)
		return err_set(err, CONTROL_INVALID_REQUEST, "jsonrpc is not \"2.0\"");
	method = json_object_get(out->root, "method");
	return method != NULL ? parse_call(out, method, err) : parse_answer(out, err);
}

void
control_msg_fini(struct control_msg *msg)
{
	json_decref(msg->id);
	json_decref(msg->root);
	*msg = (struct control_msg){.kind = CONTROL_REQUEST};
}

/* --- writing -------------------------------------------------------------------------------- */

/* message: reference taken over; NULL when building it failed. */
static char *
to_line(json_t *message, size_t *len)
{
	struct json_buf b = {.data = NULL};

	json_print(&b, message);
	json_buf_append(&b, "\n", 2); /* and its NUL */
	json_decref(message);
	if (b.failed) {
		json_buf_free(&b);
		return NULL;
	}
	*len = b.len - 1;
	return b.data;
}

char *
control_format_request(json_t *id, const char *method, json_t *params, size_t *len)
{
	return to_line(json_pack("{s:s, s:O?, s:s, s:O*}", "jsonrpc", "2.0", "id", id, "method",
	                         method, "params", params),
	               len);
}

char *
control_format_notification(const char *method, json_t *params, size_t *len)
{
	return to_line(
		json_pack("{s:s, s:s, s:O*}", "jsonrpc", "2.0", "method", method, "params", params),
		len);
}

char *
control_format_result(json_t *id, json_t *result, size_t *len)
{
	return to_line(json_pack("{s:s, s:O?, s:O?}", "jsonrpc", "2.0", "id", id, "result", result),
	               len);
}

char *
control_format_error(json_t *id, int code, const char *message, size_t *len)
{
	json_t *text = json_string(message);

	if (text == NULL)
		text = json_string("(a message that is not UTF-8)");
	return to_line(json_pack("{s:s, s:O?, s:{s:i, s:o}}", "jsonrpc", "2.0", "id", id, "error",
	                         "code", code, "message", text),
	               len);
}
