/* control_places: where a supervisor's control socket may be, and the first one that answers. */
#include "common/control_places.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/control_client.h"

static void
add(struct control_places *p, const char *dir, const char *below)
{
	char *path;

	if (dir == NULL || dir[0] == '\0' || p->count == CONTROL_PLACES_MAX ||
	    asprintf(&path, "%s%s", dir, below) < 0)
		return;
	for (size_t i = 0; i < p->count; i++) {
		if (strcmp(p->path[i], path) == 0) {
			free(path);
			return;
		}
	}
	p->path[p->count++] = path;
}

struct control_places
control_places(const char *chosen)
{
	struct control_places p = {.count = 0};

	add(&p, chosen, "");
	if (p.count == 0)
		add(&p, getenv("CODEX_CONTROL_SOCKET"), "");
	if (p.count == 0)
		add(&p, getenv("CODEX_RUNTIME_DIR"), "/control.sock");
	if (p.count > 0)
		return p; /* another one is never meant */
	add(&p, getenv("RUNTIME_DIRECTORY"), "/control.sock");
	add(&p, getenv("XDG_RUNTIME_DIR"), "/codex-sidecar/control.sock");
	add(&p, "/run/codex-sidecar", "/control.sock");
	return p;
}

void
control_places_free(struct control_places *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->path[i]);
	p->count = 0;
}

bool
control_places_is_empty(int code)
{
	return code == -ENOENT || code == -ECONNREFUSED;
}

int
control_places_ask(struct control_places *p, size_t *at, json_t **result, const char *method,
                   json_t *params, unsigned timeout_ms, struct err *err)
{
	int r = err_set(err, -ENOENT, "no place to ask at");

	for (size_t i = 0; i < p->count; i++) {
		*at = i;
		r = control_ask(result, p->path[i], method, json_incref(params), timeout_ms, NULL,
		                err);
		p->failed[i] = r;
		if (!control_places_is_empty(r))
			break;
	}
	return r;
}
