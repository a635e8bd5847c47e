/* policy_programs: what is known of programs by their names. */
#include "proxy/codex/policy_programs.h"

#include <string.h>

#include "common/common.h"

static bool
is_one_of(const char *name, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], name) == 0)
			return true;
	}
	return false;
}

const char *
policy_program_name(const struct policy_shell_command *c)
{
	const char *slash = strrchr(c->words[0], '/');

	return slash != NULL ? slash + 1 : c->words[0];
}

static bool
has_word(const struct policy_shell_command *c, const char *const *list, size_t count)
{
	for (size_t i = 1; i < c->count; i++) {
		if (is_one_of(c->words[i], list, count))
			return true;
	}
	return false;
}

/* Long ones may be cut short, short ones stand together: tar -xIsh. */
static bool
has_option(const struct policy_shell_command *c, const char *const *long_ones, size_t count,
           const char *letters)
{
	for (size_t i = 1; i < c->count; i++) {
		const char *word = c->words[i];

		for (size_t k = 0; k < count; k++) {
			if (strncmp(word, long_ones[k], strlen(long_ones[k])) == 0)
				return true;
		}
		if (word[0] == '-' && word[1] != '-' && strpbrk(word, letters) != NULL)
			return true;
	}
	return false;
}

/* An archiver, or a sorter of much, that is told what to pipe through. */
static bool
is_piped_through(const struct policy_shell_command *c)
{
	static const char *const of_tar[] = {"--to", "--us",  "--checkpoint-a", "--rs",
	                                     "--rm", "--inf", "--new-v"};
	static const char *const of_sort[] = {"--co"};
	const char *name = policy_program_name(c);

	if (strcmp(name, "tar") == 0) /* the first word needs no dash */
		return has_option(c, of_tar, NELEM(of_tar), "IF") ||
		       (c->count > 1 && c->words[1][0] != '-' &&
		        strpbrk(c->words[1], "IF") != NULL);
	return strcmp(name, "sort") == 0 && has_option(c, of_sort, NELEM(of_sort), "");
}

bool
policy_program_launches(const struct policy_shell_command *c)
{
	static const char *const launchers[] = {
		".",       "alias",       "ash",     "at",        "bash",    "batch",
		"builtin", "busybox",     "bwrap",   "chroot",    "chrt",    "command",
		"coproc",  "csh",         "dash",    "doas",      "elvish",  "enable",
		"entr",    "env",         "eval",    "exec",      "export",  "fish",
		"flock",   "ionice",      "ksh",     "mksh",      "nice",    "nohup",
		"nsenter", "parallel",    "pkexec",  "prlimit",   "rbash",   "runuser",
		"screen",  "script",      "set",     "setarch",   "setpriv", "setsid",
		"sh",      "source",      "ssh",     "stdbuf",    "strace",  "su",
		"sudo",    "systemd-run", "taskset", "tcsh",      "time",    "timeout",
		"tmux",    "toybox",      "trap",    "unbuffer",  "unshare", "watch",
		"xargs",   "yash",        "zsh",     "declare",   "typeset", "readonly",
		"local",   "read",        "mapfile", "readarray", "getopts", "hash",
		"shopt",   "unset",       "let",     "bind",      "fc",
	};
	static const char *const find_actions[] = {
		"-exec",   "-execdir", "-ok",      "-okdir", "-delete",
		"-fprint", "-fprint0", "-fprintf", "-fls",
	};
	const char *name = policy_program_name(c);

	if (is_one_of(name, launchers, NELEM(launchers)) || is_piped_through(c))
		return true;
	if (strcmp(name, "printf") == 0) /* bash: -v sets a variable */
		return c->count > 1 && strncmp(c->words[1], "-v", 2) == 0;
	return strcmp(name, "find") == 0 && has_word(c, find_actions, NELEM(find_actions));
}

/* sed -i, -ni, --in-place=x */
static bool
is_sed_in_place(const struct policy_shell_command *c)
{
	if (strcmp(policy_program_name(c), "sed") != 0)
		return false;
	for (size_t i = 1; i < c->count; i++) {
		const char *word = c->words[i];

		if (strncmp(word, "--i", 3) == 0 ||
		    (word[0] == '-' && word[1] != '-' && strchr(word, 'i') != NULL))
			return true;
	}
	return false;
}

static bool
is_sort_into_file(const struct policy_shell_command *c)
{
	static const char *const output[] = {"--o"};

	return strcmp(policy_program_name(c), "sort") == 0 &&
	       has_option(c, output, NELEM(output), "o");
}

bool
policy_program_writes(const struct policy_shell_command *c)
{
	static const char *const writers[] = {
		"chgrp", "chmod",    "chown",  "cp",      "dd",     "install", "link",
		"ln",    "mkdir",    "mkfifo", "mknod",   "mktemp", "mv",      "patch",
		"rm",    "rmdir",    "rsync",  "setfacl", "shred",  "split",   "tee",
		"touch", "truncate", "unlink", "tar",     "unzip",  "cpio",
	};

	return is_one_of(policy_program_name(c), writers, NELEM(writers)) || is_sed_in_place(c) ||
	       is_sort_into_file(c);
}

/* "x://" anywhere, bash's /dev/tcp/. */
static bool
is_address(const char *word)
{
	return strstr(word, "://") != NULL || strstr(word, "/dev/tcp") != NULL ||
	       strstr(word, "/dev/udp") != NULL;
}

bool
policy_program_talks(const struct policy_shell_command *c)
{
	static const char *const talkers[] = {
		"apt",  "apt-get",  "aria2c", "axel",   "curl", "dig",        "ftp",   "gh",
		"host", "http",     "https",  "lftp",   "lynx", "nc",         "ncat",  "netcat",
		"nmap", "nslookup", "ping",   "pip",    "pip3", "rsh",        "rsync", "scp",
		"sftp", "socat",    "ssh",    "telnet", "tftp", "traceroute", "w3m",   "npx",
		"pnpx", "bunx",     "uv",     "uvx",    "pipx", "wget",
	};
	static const char *const package_managers[] = {"bun", "cargo", "composer", "gem",
	                                               "go",  "npm",   "pnpm",     "yarn"};
	static const char *const fetches[] = {"add",     "ci",     "create", "dlx",  "exec",
	                                      "fetch",   "get",    "i",      "init", "install",
	                                      "publish", "update", "x",      "mod",  "upgrade"};
	static const char *const git_remote[] = {"archive",    "clone", "fetch",  "ls-remote",
	                                         "pull",       "push",  "remote", "submodule",
	                                         "send-email", "svn"};
	const char *name = policy_program_name(c);

	for (size_t i = 0; i < c->count; i++) {
		if (is_address(c->words[i]))
			return true;
	}
	for (size_t i = 0; i < c->redirect_count; i++) {
		if (is_address(c->redirects[i].target))
			return true;
	}
	if (is_one_of(name, talkers, NELEM(talkers)))
		return true;
	if (strcmp(name, "git") == 0)
		return has_word(c, git_remote, NELEM(git_remote));
	return is_one_of(name, package_managers, NELEM(package_managers)) &&
	       has_word(c, fetches, NELEM(fetches));
}
