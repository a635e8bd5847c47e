/* log_sink: where the lines of one app go when it has log files of its own. */
#include "supervisor/log_sink.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/json.h"
#include "supervisor/log_stamp.h"
#include "supervisor/shared_log.h"

#define STAMP_MAX 128

struct log_sink {
	char *app;
	int instance;
	bool json;
	char *date_format;
	struct shared_log *files[2]; /* by stream; the same one twice, or NULL */
	bool thrown_away[2];
};

/* "app.log" -> "app-3.log"; "app" -> "app-3". New; NULL: no memory. */
static char *
path_of(const char *path, bool own, int instance)
{
	size_t len = strlen(path);
	size_t stem = len > 4 && strcmp(path + len - 4, ".log") == 0 ? len - 4 : len;
	char *out;

	if (!own)
		return strdup(path);
	return asprintf(&out, "%.*s-%d%s", (int)stem, path, instance, path + stem) < 0 ? NULL : out;
}

static bool
is_nothing(const char *path)
{
	return strcmp(path, "/dev/null") == 0 || strcmp(path, "NULL") == 0;
}

/* False: no memory. */
static bool
open_stream(struct log_sink *s, enum output_stream which, const struct log_sink_spec *spec)
{
	const char *path = which == OUTPUT_STDOUT ? spec->out_file : spec->error_file;
	struct log_file_spec file = {.max_bytes = spec->max_bytes,
	                             .interval_ms = spec->interval_ms,
	                             .retain = spec->retain};
	AUTO_FREE char *full = NULL;

	if (path == NULL)
		return true;
	if (is_nothing(path)) {
		s->thrown_away[which] = true;
		return true;
	}
	file.path = full = path_of(path, spec->own_files, s->instance);
	s->files[which] = full != NULL ? shared_log_get(&file) : NULL;
	return s->files[which] != NULL;
}

struct log_sink *
log_sink_new(const struct log_sink_spec *spec, const char *app, int instance)
{
	struct log_sink *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->app = strdup(app);
	s->instance = instance;
	s->json = spec->json;
	if (spec->date_format != NULL)
		s->date_format = strdup(spec->date_format);
	if (s->app == NULL || (spec->date_format != NULL && s->date_format == NULL) ||
	    !open_stream(s, OUTPUT_STDOUT, spec) || !open_stream(s, OUTPUT_STDERR, spec)) {
		log_sink_free(s);
		return NULL;
	}
	return s;
}

/* New; NULL: no memory. */
static char *
format_line(const struct log_sink *s, enum output_stream stream, const char *text, uint64_t now_ms)
{
	time_t seconds = (time_t)(now_ms / 1000);
	char stamp[STAMP_MAX] = "";
	json_auto_t *object = NULL;
	struct tm tm;
	char *line;

	if (s->date_format != NULL || s->json) {
		(void)localtime_r(&seconds, &tm);
		log_stamp_format(stamp, sizeof(stamp),
		                 s->date_format != NULL ? s->date_format
		                                        : "YYYY-MM-DDTHH:mm:ss.SSSZ",
		                 &tm, (unsigned)(now_ms % 1000));
	}
	if (!s->json)
		return asprintf(&line, "%s%s%s", stamp, s->date_format != NULL ? ": " : "", text) <
		                       0
		               ? NULL
		               : line;
	object = json_pack("{s:o, s:o, s:s, s:i, s:s}", "message", json_string_lossy(text),
	                   "timestamp", json_string_lossy(stamp), "type",
	                   stream == OUTPUT_STDOUT ? "out" : "err", "process_id", s->instance,
	                   "app_name", s->app);
	return object != NULL ? json_to_text(object, NULL) : NULL;
}

bool
log_sink_takes(const struct log_sink *s, enum output_stream stream)
{
	return s->thrown_away[stream] ||
	       (s->files[stream] != NULL && shared_log_is_open(s->files[stream]));
}

bool
log_sink_line(struct log_sink *s, enum output_stream stream, const char *text, uint64_t now_ms)
{
	AUTO_FREE char *line = NULL;

	if (s->thrown_away[stream])
		return true;
	if (s->files[stream] == NULL)
		return false;
	line = format_line(s, stream, text, now_ms);
	if (line == NULL)
		return false; /* out of memory: it is not lost, but elsewhere */
	return shared_log_write(s->files[stream], line, strlen(line), now_ms);
}

void
log_sink_free(struct log_sink *s)
{
	if (s == NULL)
		return;
	shared_log_put(s->files[1]);
	shared_log_put(s->files[0]);
	free(s->date_format);
	free(s->app);
	free(s);
}
