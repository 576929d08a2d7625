/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * LD_PRELOAD shim for programs that cannot be changed: every TCP socket that they make opts in, and
 * a blocking receive that came back with EAGAIN, which plain TCP never does, is called again.
 * Never fails a call that would have worked without it. Everything but the wrapped symbols is static.
 * Programs that make system calls without libc (Go, static binaries) are out of its reach.
 */
#undef _FORTIFY_SOURCE /* the fortified entry points are defined here, not used */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fastlo/fastlo.h"

ssize_t __read_chk(int fd, void *buf, size_t len, size_t space);
ssize_t __recv_chk(int fd, void *buf, size_t len, size_t space, int flags);
ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t space, int flags,
		       struct sockaddr *restrict addr, socklen_t *restrict addr_len);

/*
 * The next definition of each wrapped symbol. Set once, by the constructor; NULL before it ran (other
 * libraries' constructors, their threads, malloc inside dlsym): the caller then makes the system call.
 */
static struct {
	__typeof__(socket) *socket;
	__typeof__(read) *read;
	__typeof__(readv) *readv;
	__typeof__(recv) *recv;
	__typeof__(recvfrom) *recvfrom;
	__typeof__(recvmsg) *recvmsg;
	__typeof__(__read_chk) *read_chk;
	__typeof__(__recv_chk) *recv_chk;
	__typeof__(__recvfrom_chk) *recvfrom_chk;
} next;

/* An opt-in succeeded once, so a kernel that does not know the option now has lost its fastlod since. */
static bool was_served;

#define NEXT(fn) __atomic_load_n(&next.fn, __ATOMIC_RELAXED)
#define RESOLVE(fn, name) __atomic_store_n(&next.fn, (__typeof__(next.fn))dlsym(RTLD_NEXT, name), __ATOMIC_RELAXED)

__attribute__((constructor)) static void preload_resolve(void)
{
	RESOLVE(socket, "socket");
	RESOLVE(read, "read");
	RESOLVE(readv, "readv");
	RESOLVE(recv, "recv");
	RESOLVE(recvfrom, "recvfrom");
	RESOLVE(recvmsg, "recvmsg");
	RESOLVE(read_chk, "__read_chk");
	RESOLVE(recv_chk, "__recv_chk");
	RESOLVE(recvfrom_chk, "__recvfrom_chk");
}

/*
 * A thread may sit in a receive of an admitted socket while fastlod stops; its EAGAIN comes when
 * nobody serves FASTLO_INFO any more. Then any TCP socket counts.
 */
static bool preload_opted_in(int fd)
{
	struct fastlo_info info;
	socklen_t len = sizeof(info);
	int protocol;

	if (getsockopt(fd, SOL_FASTLO, FASTLO_INFO, &info, &len) == 0)
		return info.state != FASTLO_STATE_OFF;
	/* the kernel's own answer: to getsockopt of an unknown level it is the latter */
	if ((errno != ENOPROTOOPT && errno != EOPNOTSUPP) || !__atomic_load_n(&was_served, __ATOMIC_RELAXED))
		return false;
	len = sizeof(protocol);
	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

/*
 * Whether an EAGAIN of this receive is one that plain TCP would not have returned. MSG_OOB and
 * MSG_ERRQUEUE never wait, whatever the file's mode; with SO_RCVTIMEO it is the time that ran out.
 */
static bool preload_is_spurious(int fd, int flags)
{
	struct timeval timeout;
	socklen_t len = sizeof(timeout);
	bool spurious = false;
	int mode;

	if (!(flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE))) {
		mode = fcntl(fd, F_GETFL);
		spurious = mode != -1 && !(mode & O_NONBLOCK) &&
			   getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, &len) == 0 &&
			   timeout.tv_sec == 0 && timeout.tv_usec == 0 && preload_opted_in(fd);
	}
	errno = EAGAIN;
	return spurious;
}

/* The kernel waits in every round, so this does not spin. */
#define RECEIVE(fd, flags, call)                                                                        \
	({                                                                                              \
		ssize_t got_;                                                                           \
		do                                                                                      \
			got_ = (call);                                                                  \
		while (__builtin_expect(got_ == -1 && errno == EAGAIN, 0) && preload_is_spurious(fd, flags)); \
		got_;                                                                                   \
	})

int socket(int domain, int type, int protocol)
{
	__typeof__(socket) *fn = NEXT(socket);
	int fd = fn ? fn(domain, type, protocol) : (int)syscall(SYS_socket, domain, type, protocol);
	int saved = errno;

	if (fd != -1 && (domain == AF_INET || domain == AF_INET6) &&
	    (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
	    (protocol == 0 || protocol == IPPROTO_TCP)) {
		if (fastlo_enable(fd) == 0)
			__atomic_store_n(&was_served, true, __ATOMIC_RELAXED);
		errno = saved;
	}
	return fd;
}

ssize_t read(int fd, void *buf, size_t len)
{
	__typeof__(read) *fn = NEXT(read);

	return RECEIVE(fd, 0, fn ? fn(fd, buf, len) : syscall(SYS_read, fd, buf, len));
}

ssize_t readv(int fd, const struct iovec *iov, int count)
{
	__typeof__(readv) *fn = NEXT(readv);

	return RECEIVE(fd, 0, fn ? fn(fd, iov, count) : syscall(SYS_readv, fd, iov, count));
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
	__typeof__(recv) *fn = NEXT(recv);

	return RECEIVE(fd, flags,
		       fn ? fn(fd, buf, len, flags) : syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL));
}

/* glibc declares addr as a transparent union; the symbol takes a plain pointer. */
ssize_t recvfrom(int fd, void *restrict buf, size_t len, int flags, __SOCKADDR_ARG addr,
		 socklen_t *restrict addr_len)
{
	__typeof__(recvfrom) *fn = NEXT(recvfrom);

	return RECEIVE(fd, flags,
		       fn ? fn(fd, buf, len, flags, addr, addr_len)
			  : syscall(SYS_recvfrom, fd, buf, len, flags, addr.__sockaddr__, addr_len));
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	__typeof__(recvmsg) *fn = NEXT(recvmsg);

	return RECEIVE(fd, flags, fn ? fn(fd, msg, flags) : syscall(SYS_recvmsg, fd, msg, flags));
}

/* What -D_FORTIFY_SOURCE calls where it cannot prove that len fits. Overflow ends the program. */
ssize_t __read_chk(int fd, void *buf, size_t len, size_t space)
{
	__typeof__(__read_chk) *fn = NEXT(read_chk);

	if (!fn && len > space)
		abort();
	return RECEIVE(fd, 0, fn ? fn(fd, buf, len, space) : syscall(SYS_read, fd, buf, len));
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t space, int flags)
{
	__typeof__(__recv_chk) *fn = NEXT(recv_chk);

	if (!fn && len > space)
		abort();
	return RECEIVE(fd, flags,
		       fn ? fn(fd, buf, len, space, flags)
			  : syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL));
}

ssize_t __recvfrom_chk(int fd, void *restrict buf, size_t len, size_t space, int flags,
		       struct sockaddr *restrict addr, socklen_t *restrict addr_len)
{
	__typeof__(__recvfrom_chk) *fn = NEXT(recvfrom_chk);

	if (!fn && len > space)
		abort();
	return RECEIVE(fd, flags,
		       fn ? fn(fd, buf, len, space, flags, addr, addr_len)
			  : syscall(SYS_recvfrom, fd, buf, len, flags, addr, addr_len));
}
