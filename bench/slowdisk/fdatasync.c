/* Preloaded into Postgres, this stands for a disk whose flush takes 2 ms more,
 * as a volume over the network does. Compiled with cc -shared -fPIC. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>

int fdatasync(int fd)
{
	static int (*real)(int);
	struct timespec more = {0, 2000000};

	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	nanosleep(&more, 0);
	return real(fd);
}
