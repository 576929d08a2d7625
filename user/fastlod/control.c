/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The control socket. Every client is non-blocking, has a timer, and is freed at exactly one place:
 * client_free, from its own callbacks or from control_free. Its request is answered at the first
 * newline (or at the end of its stream); what follows is not read.
 */
#include <errno.h>
#include <grp.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "control_call.h"
#include "control_verbs.h"
#include "log.h"
#include "paths.h"

struct client {
	struct control *control;
	sd_event_source *io;
	sd_event_source *timer;
	int fd;
	bool may_change;
	char *in; /* NUL-terminated */
	size_t in_len, in_size;
	char *out;
	size_t out_len, out_done;
	int out_fd; /* goes with the first byte; -1: none */
	struct client *prev, *next;
};

struct control {
	sd_event *event;
	sd_event_source *io;
	int fd;
	const struct control_ops *ops;
	void *arg;
	struct sockaddr_un addr;
	struct client *clients;
	unsigned int count;
};

static void client_free(struct client *c)
{
	DL_DELETE(c->control->clients, c);
	c->control->count--;
	sd_event_source_disable_unref(c->io);
	sd_event_source_disable_unref(c->timer);
	close(c->fd);
	if (c->out_fd >= 0)
		close(c->out_fd);
	free(c->in);
	free(c->out);
	free(c);
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	client_free(arg);
	return 0;
}

static int client_answer(struct client *c)
{
	struct json_object *reply;
	const char *text;
	size_t len;

	c->in[strcspn(c->in, "\n")] = '\0';
	reply = control_answer(c->control->ops, c->control->arg, c->in, c->may_change, &c->out_fd);
	if (!reply)
		return -ENOMEM;
	text = json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN);
	len = strlen(text);
	c->out = malloc(len + 1);
	if (c->out) {
		memcpy(c->out, text, len);
		c->out[len] = '\n';
		c->out_len = len + 1;
	}
	json_object_put(reply);
	return c->out ? 0 : -ENOMEM;
}

/* 1: more to come, 0: the request is whole, else a negative errno */
static int client_read(struct client *c)
{
	ssize_t n;

	if (c->in_len + 1 >= c->in_size) {
		size_t size = c->in_size ? c->in_size * 2 : 1024;
		char *more = size <= CONTROL_REQUEST_MAX ? realloc(c->in, size) : NULL;

		if (!more)
			return size <= CONTROL_REQUEST_MAX ? -ENOMEM : -EMSGSIZE;
		c->in = more;
		c->in_size = size;
	}
	n = recv(c->fd, c->in + c->in_len, c->in_size - c->in_len - 1, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	c->in_len += (size_t)n;
	c->in[c->in_len] = '\0';
	if (n == 0)
		return c->in_len ? 0 : -ENODATA;
	return memchr(c->in + c->in_len - n, '\n', (size_t)n) ? 0 : 1;
}

/* as client_read */
static int client_write(struct client *c)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} rights = { .head = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec text = { c->out + c->out_done, c->out_len - c->out_done };
	struct msghdr msg = { .msg_iov = &text, .msg_iovlen = 1 };
	ssize_t n;

	if (c->out_fd >= 0) {
		memcpy(CMSG_DATA(&rights.head), &c->out_fd, sizeof(int));
		msg.msg_control = &rights;
		msg.msg_controllen = sizeof(rights);
	}
	n = sendmsg(c->fd, &msg, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 1 : -errno;
	if (c->out_fd >= 0)
		close(c->out_fd);
	c->out_fd = -1;
	c->out_done += (size_t)n;
	return c->out_done < c->out_len;
}

static int on_client(sd_event_source *s, int fd, uint32_t revents, void *arg)
{
	struct client *c = arg;
	int r = 1;

	(void)fd;
	(void)revents;
	if (!c->out) {
		r = client_read(c);
		if (r > 0)
			return 0;
		if (r == 0)
			r = client_answer(c);
		/* the time that the answer took is not the client's */
		if (r == 0)
			r = sd_event_source_set_time_relative(c->timer, CONTROL_TIMEOUT_S * 1000000ULL);
		if (r == 0)
			r = sd_event_source_set_io_events(s, EPOLLOUT);
	}
	if (r >= 0)
		r = client_write(c);
	if (r <= 0)
		client_free(c);
	return 0; /* never the loop's business */
}

/* fd becomes the client's, or is closed. */
static int client_new(struct control *control, int fd, bool may_change)
{
	struct client *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->control = control;
	c->fd = fd;
	c->out_fd = -1;
	c->may_change = may_change;
	DL_APPEND(control->clients, c);
	control->count++;
	r = sd_event_add_io(control->event, &c->io, fd, EPOLLIN, on_client, c);
	if (r >= 0)
		r = sd_event_add_time_relative(control->event, &c->timer, CLOCK_MONOTONIC,
					       CONTROL_TIMEOUT_S * 1000000ULL, 0, on_timeout, c);
	if (r < 0)
		client_free(c);
	return r < 0 ? r : 0;
}

static int on_connect(sd_event_source *s, int listen_fd, uint32_t revents, void *arg)
{
	struct control *control = arg;
	struct ucred cred = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(cred);
	bool may_change;
	int fd, r;

	(void)s;
	(void)revents;
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE)
			log_warn("cannot accept on '%s': %s, ignoring", control->addr.sun_path, strerror(errno));
		return 0;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		cred.uid = (uid_t)-1;
	may_change = cred.uid == 0 || cred.uid == geteuid();
	if (control->count >= (may_change ? CONTROL_CLIENTS_MAX : CONTROL_CLIENTS_OTHERS)) {
		close(fd);
		return 0;
	}
	r = client_new(control, fd, may_change);
	if (r < 0)
		log_warn("cannot serve a client: %s, ignoring", strerror(-r));
	return 0;
}

/* -EADDRINUSE if somebody listens there, else the way is free */
static int clear_the_way(const char *run_dir, const struct sockaddr_un *addr)
{
	pid_t pid;
	int r;

	if (mkdir(run_dir, 0755) == 0) {
		if (chmod(run_dir, 0755) < 0) /* whatever the umask was */
			return -errno;
	} else if (errno != EEXIST) {
		return -errno;
	}
	r = control_owner(run_dir, &pid);
	if (r == -ENOENT)
		return 0;
	if (r != -ECONNREFUSED)
		return -EADDRINUSE;
	return unlink(addr->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Where the group is not known, root and the daemon's own user are left. */
static int give_to_group(const char *path)
{
	struct group *group = getgrnam(PATHS_GROUP);

	if (group && chown(path, (uid_t)-1, group->gr_gid) < 0)
		log_warn("cannot give '%s' to group '%s': %s, ignoring", path, PATHS_GROUP, strerror(errno));
	return chmod(path, 0660);
}

static int open_socket(struct control *c)
{
	if (bind(c->fd, (struct sockaddr *)&c->addr, sizeof(c->addr)) < 0)
		return -errno;
	if (give_to_group(c->addr.sun_path) < 0 || listen(c->fd, CONTROL_CLIENTS_MAX) < 0) {
		int r = -errno;

		unlink(c->addr.sun_path);
		return r;
	}
	return 0;
}

int control_listen(sd_event *event, const char *run_dir, const struct control_ops *ops, void *arg,
		   struct control **ret_control)
{
	struct sockaddr_un addr;
	struct control *c;
	int r;

	r = control_address(run_dir, &addr);
	if (!r)
		r = clear_the_way(run_dir, &addr);
	if (r < 0)
		return r;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->addr = addr;
	c->ops = ops;
	c->arg = arg;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = c->fd < 0 ? -errno : open_socket(c);
	if (r < 0) {
		if (c->fd >= 0)
			close(c->fd);
		free(c);
		return r;
	}
	c->event = sd_event_ref(event);
	r = sd_event_add_io(event, &c->io, c->fd, EPOLLIN, on_connect, c);
	if (r < 0) {
		control_free(c);
		return r;
	}
	*ret_control = c;
	return 0;
}

void control_free(struct control *c)
{
	struct client *client, *next;

	if (!c)
		return;
	DL_FOREACH_SAFE(c->clients, client, next)
		client_free(client);
	unlink(c->addr.sun_path);
	sd_event_source_disable_unref(c->io);
	close(c->fd);
	sd_event_unref(c->event);
	free(c);
}
