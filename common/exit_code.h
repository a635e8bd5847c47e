/* exit_code: the exit codes of every program here, as documented in the man pages. */
#ifndef SIDECAR_EXIT_CODE_H
#define SIDECAR_EXIT_CODE_H

enum exit_code {
	EXIT_WELL = 0,
	EXIT_NOT_WELL = 1,
	EXIT_UNREACHABLE = 2, /* unreachable or unknown */
	EXIT_WARNING = 3,     /* the login expires soon */
	EXIT_USAGE = 64,
	EXIT_GAVE_UP = 70,
	EXIT_CONFIGURATION = 78,
};

/* Of a start that failed with this negative errno: what is named wrongly is no better the next
 * time, all else may be. */
enum exit_code exit_code_of_start(int error);

#endif
