/* app_launch: what an app is executed as. */
#include "supervisor/app_launch.h"

void
app_launch_free(struct app_launch *l)
{
	free(l->file);
	for (char **v = l->argv; v != NULL && *v != NULL; v++)
		free(*v);
	free(l->argv);
	environment_free(&l->env);
	free(l->cwd);
	free(l->ready_target);
	*l = (struct app_launch){.listen_fd = -1};
}
