/* ecosystem_values: values of the ecosystem file that take more than a look at their type. Pure. */
#include "supervisor/ecosystem_keys.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"
#include "supervisor/cron.h"

/* --- lists ---------------------------------------------------------------------------------- */

char **
ecosystem_list_new(size_t count)
{
	return calloc(count + 1, sizeof(char *));
}

void
ecosystem_list_free(char **list)
{
	for (char **p = list; p != NULL && *p != NULL; p++)
		free(*p);
	free(list);
}

static int
wrong(const char **why, const char *sentence)
{
	*why = sentence;
	return -EINVAL;
}

/* The next word of *text into word, which has room for all of it. False: an open quote. */
static bool
next_word(const char **text, char *word)
{
	const char *p = *text;
	char quote = '\0';

	for (; *p != '\0' && (quote != '\0' || !isspace((unsigned char)*p)); p++) {
		if (quote != '\0' && *p == quote)
			quote = '\0';
		else if (quote == '\0' && (*p == '"' || *p == '\''))
			quote = *p;
		else
			*word++ = *p;
	}
	*word = '\0';
	*text = p;
	return quote == '\0';
}

int
ecosystem_value_cut(char ***out, const char *text, const char **why)
{
	size_t count = 0;
	AUTO_FREE char *word = malloc(strlen(text) + 1);
	char **list = ecosystem_list_new(strlen(text) / 2 + 1);
	int r = word == NULL || list == NULL ? -ENOMEM : 0;

	while (r == 0) {
		while (isspace((unsigned char)*text))
			text++;
		if (*text == '\0')
			break;
		if (!next_word(&text, word))
			r = wrong(why, "a quote is not closed");
		else if ((list[count++] = strdup(word)) == NULL)
			r = -ENOMEM;
	}
	if (r < 0)
		ecosystem_list_free(list);
	else
		*out = list;
	return r;
}

int
ecosystem_value_words(char ***out, const json_t *value, const char **why)
{
	static const char not_words[] = "neither a string nor a list of strings";
	size_t i, n = json_array_size(value);
	const json_t *item;
	char **list;

	if (json_text(value) != NULL)
		return ecosystem_value_cut(out, json_text(value), why);
	if (!json_is_array(value))
		return wrong(why, not_words);
	list = ecosystem_list_new(n);
	if (list == NULL)
		return -ENOMEM;
	json_array_foreach(value, i, item) {
		if (json_text(item) == NULL) {
			ecosystem_list_free(list);
			return wrong(why, not_words);
		}
		list[i] = strdup(json_text(item));
		if (list[i] == NULL) {
			ecosystem_list_free(list);
			return -ENOMEM;
		}
	}
	*out = list;
	return 0;
}

static bool
is_env_name(const char *name)
{
	if (!isalpha((unsigned char)name[0]) && name[0] != '_')
		return false;
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && *name != '_')
			return false;
	return true;
}

int
ecosystem_value_env(char ***out, json_t *value, const char **why)
{
	char **list = ecosystem_list_new(json_object_size(value));
	size_t count = 0;
	const char *name;
	json_t *item;
	int r = list == NULL ? -ENOMEM : 0;

	if (!json_is_object(value))
		r = wrong(why, "not an object of names and values");
	json_object_foreach(value, name, item) {
		AUTO_FREE char *text = NULL;

		if (r < 0)
			break;
		if (!is_env_name(name))
			r = wrong(why, "a name in it is none: letters, digits and _ only");
		else if (json_is_null(item) || (json_is_string(item) && json_text(item) == NULL))
			r = wrong(why, "a value in it is null, or holds a NUL");
		else if ((!json_is_string(item) && (text = json_to_text(item, NULL)) == NULL) ||
		         asprintf(&list[count], "%s=%s", name,
		                  text != NULL ? text : json_text(item)) < 0)
			r = -ENOMEM;
		else
			count++;
		if (r < 0 && list != NULL)
			list[count] = NULL; /* asprintf leaves anything there */
	}
	if (r < 0)
		ecosystem_list_free(list);
	else
		*out = list;
	return r;
}

/* --- numbers -------------------------------------------------------------------------------- */

int
ecosystem_value_exit_codes(bool codes[static 256], const json_t *value, const char **why)
{
	static const char not_codes[] = "neither a number from 0 to 255 nor a list of them";
	size_t n = json_is_array(value) ? json_array_size(value) : 1;

	for (size_t i = 0; i < n; i++) {
		const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
		json_int_t code = json_integer_value(item);

		if (!json_is_integer(item) || code < 0 || code > 255)
			return wrong(why, not_codes);
	}
	memset(codes, 0, 256);
	for (size_t i = 0; i < n; i++)
		codes[json_integer_value(json_is_array(value) ? json_array_get(value, i) : value)] =
			true;
	return 0;
}

int
ecosystem_value_instances(unsigned *out, const json_t *value, unsigned cpus, const char **why)
{
	const char *text = json_text(value);
	json_int_t n = json_integer_value(value);

	if (text != NULL ? strcmp(text, "max") != 0 : !json_is_integer(value))
		return wrong(why, "neither a number nor \"max\"");
	if (n < -ECOSYSTEM_INSTANCES_MAX || n > ECOSYSTEM_INSTANCES_MAX)
		return wrong(why, "more than 64");
	if (n <= 0)
		n += cpus;
	if (n > ECOSYSTEM_INSTANCES_MAX)
		n = ECOSYSTEM_INSTANCES_MAX;
	*out = n < 1 ? 1 : (unsigned)n;
	return 0;
}

/* --- strings with a form -------------------------------------------------------------------- */

int
ecosystem_value_cron(char **out, const json_t *value, const char **why)
{
	const char *text = json_text(value);
	struct cron cron;

	/* PM2's way to say "none" */
	if ((json_is_integer(value) && json_integer_value(value) == 0) ||
	    (text != NULL && strcmp(text, "0") == 0)) {
		*out = NULL;
		return 0;
	}
	if (text == NULL)
		text = ""; /* no string at all: told as what cron_parse finds wrong with nothing */
	if (cron_parse(&cron, text, why) < 0)
		return -EINVAL;
	*out = strdup(text);
	return *out != NULL ? 0 : -ENOMEM;
}

/* "HOST:PORT", with something behind the port or not. */
static bool
has_port(const char *address)
{
	const char *colon = address[0] == '[' ? strstr(address, "]:") : strchr(address, ':');
	char *end;
	long port;

	if (colon == NULL || colon == address)
		return false;
	colon += *colon == ']' ? 2 : 1;
	if (!isdigit((unsigned char)*colon))
		return false;
	port = strtol(colon, &end, 10);
	return port > 0 && port < 65536 && (*end == '\0' || *end == '/');
}

int
ecosystem_value_readiness(enum ecosystem_readiness *out, char **target, const char *text,
                          const char **why)
{
	static const struct {
		const char *text;
		enum ecosystem_readiness kind;
	} kinds[] = {
		{"none",    ECOSYSTEM_READY_NONE   },
                {"control", ECOSYSTEM_READY_CONTROL},
		{"notify",  ECOSYSTEM_READY_NOTIFY },
                {"ipc",     ECOSYSTEM_READY_IPC    },
		{"codex",   ECOSYSTEM_READY_CODEX  },
	};
	const char *rest = NULL;

	for (size_t i = 0; i < NELEM(kinds); i++) {
		if (strcmp(kinds[i].text, text) == 0) {
			*out = kinds[i].kind;
			*target = NULL;
			return 0;
		}
	}
	if (strncmp(text, "http://", 7) == 0 && has_port(text + 7)) {
		*out = ECOSYSTEM_READY_HTTP;
		rest = text;
	} else if (strncmp(text, "tcp://", 6) == 0 && has_port(text + 6)) {
		*out = ECOSYSTEM_READY_TCP;
		rest = strchr(text + 6, '/') == NULL ? text + 6 : NULL;
	} else if (strncmp(text, "unix:///", 8) == 0 && text[8] != '\0') {
		*out = ECOSYSTEM_READY_UNIX;
		rest = text + 7;
	}
	if (rest == NULL)
		return wrong(why, "none of none, control, notify, ipc, codex, "
		                  "http://HOST:PORT/PATH, tcp://HOST:PORT, unix:///PATH");
	*target = strdup(rest);
	return *target != NULL ? 0 : -ENOMEM;
}

int
ecosystem_value_signal(int *out, const char *text)
{
	static const struct {
		const char *name;
		int number;
	} signals[] = {
		{"TERM", SIGTERM},
                {"INT",  SIGINT },
                {"QUIT", SIGQUIT},
                {"HUP",  SIGHUP },
		{"USR1", SIGUSR1},
                {"USR2", SIGUSR2},
                {"KILL", SIGKILL},
                {"ABRT", SIGABRT},
	};

	if (strncmp(text, "SIG", 3) == 0)
		text += 3;
	for (size_t i = 0; i < NELEM(signals); i++) {
		if (strcmp(signals[i].name, text) == 0) {
			*out = signals[i].number;
			return 0;
		}
	}
	return -EINVAL;
}
