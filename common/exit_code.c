/* exit_code: how a start that failed is told. */
#include "common/exit_code.h"

#include <errno.h>

enum exit_code
exit_code_of_start(int error)
{
	switch (error) {
	case -EINVAL:
	case -ENOENT:
	case -ENAMETOOLONG:
	case -EEXIST:
		return EXIT_CONFIGURATION;
	default:
		return EXIT_GAVE_UP;
	}
}
