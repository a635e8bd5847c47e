/* proxy_agent: the agent profile of a run: its policy, what no command may read, its reload. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/paths.h"
#include "proxy/proxy_internal.h"

/* Takes the path over. */
static void
keep(struct proxy_agent *a, char *path)
{
	if (path != NULL)
		a->secrets[a->secret_count++] = path;
}

static void
keep_copy(struct proxy_agent *a, const char *path)
{
	keep(a, path != NULL ? strdup(path) : NULL);
}

/* The login, what codex keeps of it, our keys, and the sockets that would lead out of the sandbox:
 * codex's own one is a link to a folder of that name. */
static void
gather_secrets(struct proxy_agent *a, const struct settings *s)
{
	char *sockets = NULL;

	keep(a, paths_codex_home(s));
	keep(a, paths_state_dir(s));
	keep(a, paths_runtime_dir(s));
	if (asprintf(&sockets, "/tmp/codex-daemon-%u", (unsigned)getuid()) >= 0)
		keep(a, sockets);
	keep_copy(a, s->api_key_file);
	keep_copy(a, s->api_keys_file);
	keep_copy(a, s->tls_key);
}

int
proxy_agent_build(struct proxy *p, struct err *err)
{
	const struct settings *s = p->settings;
	struct proxy_agent *a = &p->agent;

	if (s->profile != PROFILE_AGENT)
		return 0;
	gather_secrets(a, s);
	a->config = (struct agent_config){.policy_path = s->tool_policy_path,
	                                  .workspace = p->workspace,
	                                  .home = getenv("HOME"),
	                                  .secrets = (const char *const *)a->secrets,
	                                  .deny_all = s->tool_approval == TOOL_APPROVAL_DENY};
	a->agent = agent_new(&a->config);
	return a->agent != NULL ? 0 : err_set(err, -ENOMEM, "out of memory");
}

void
proxy_agent_free(struct proxy *p)
{
	agent_free(p->agent.agent);
	for (size_t i = 0; i < p->agent.secret_count; i++)
		free(p->agent.secrets[i]);
}

void
proxy_agent_reload(struct proxy *p)
{
	if (p->agent.agent == NULL)
		return; /* a terminal that went away is no reason to stop */
	log_info("reading the tool policy again");
	agent_reload(p->agent.agent);
}

static void
on_sighup(uv_signal_t *handle, int signum)
{
	proxy_agent_reload(handle->data);
}

void
proxy_agent_start_signal(struct proxy *p)
{
	(void)uv_signal_init(&p->loop, &p->sighup); /* none of the two can fail */
	p->sighup.data = p;
	(void)uv_signal_start(&p->sighup, on_sighup, SIGHUP);
}
