/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One request, one reply, and an end to the waiting whatever the other side does.
 */
#include <errno.h>
#include <json-c/json.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "control_call.h"
#include "paths.h"

int control_address(const char *run_dir, struct sockaddr_un *ret_addr)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int n;

	n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", run_dir, PATHS_CONTROL);
	if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	*ret_addr = addr;
	return 0;
}

static int dial(const char *run_dir)
{
	struct timeval timeout = { .tv_sec = CONTROL_TIMEOUT_S };
	struct sockaddr_un addr;
	int fd, r;

	r = control_address(run_dir, &addr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* also bounds connect() when the backlog is full */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
		close(fd);
		return r;
	}
	return fd;
}

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_request(int fd, struct json_object *req)
{
	const char *text = json_object_to_json_string_ext(req, JSON_C_TO_STRING_PLAIN);
	int r;

	if (!text)
		return -ENOMEM;
	if (strlen(text) >= CONTROL_REQUEST_MAX)
		return -EMSGSIZE;
	r = send_all(fd, text, strlen(text));
	if (!r)
		r = send_all(fd, "\n", 1);
	return r == -EPIPE ? 0 : r; /* it may have answered before it read everything */
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* recv(), and a descriptor if one came along */
static ssize_t receive(int fd, char *text, size_t size, int *ret_fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} rights;
	struct iovec to = { text, size };
	struct msghdr msg = { .msg_iov = &to, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof(rights) };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(int));
	return n;
}

/* Up to the newline or the end of the stream; text is NUL-terminated. */
static int read_line(int fd, char **ret_text, int *ret_fd)
{
	int64_t deadline = now_ms() + CONTROL_REPLY_TIMEOUT_S * 1000;
	size_t len = 0, size = 4096;
	char *text = malloc(size);
	int r = text ? 0 : -ENOMEM;

	while (!r) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - now_ms();
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) == 0) {
			r = -ETIMEDOUT;
			break;
		}
		n = receive(fd, text + len, size - len - 1, ret_fd);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			r = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (memchr(text + len - n, '\n', (size_t)n))
			break;
		if (len + 1 == size) {
			char *more = size < CONTROL_REPLY_MAX ? realloc(text, size * 2) : NULL;

			r = more ? 0 : size < CONTROL_REPLY_MAX ? -ENOMEM : -EMSGSIZE;
			text = more ? more : text;
			size *= 2;
		}
	}
	if (r < 0) {
		free(text);
		return r;
	}
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

int control_call_fd(const char *run_dir, struct json_object *req, struct json_object **ret_reply, int *ret_fd)
{
	struct json_object *reply;
	int fd, r, came = -1;
	char *text = NULL;

	fd = dial(run_dir);
	if (fd < 0)
		return fd;
	r = send_request(fd, req);
	if (!r)
		r = read_line(fd, &text, &came);
	close(fd);
	reply = r < 0 ? NULL : json_tokener_parse(text);
	free(text);
	if (r == 0 && !json_object_is_type(reply, json_type_object))
		r = -EPROTO;
	if (r < 0) {
		json_object_put(reply);
		if (came >= 0)
			close(came);
		return r;
	}
	*ret_reply = reply;
	*ret_fd = came;
	return 0;
}

int control_call(const char *run_dir, struct json_object *req, struct json_object **ret_reply)
{
	int fd = -1, r = control_call_fd(run_dir, req, ret_reply, &fd);

	if (fd >= 0)
		close(fd);
	return r;
}

int control_owner(const char *run_dir, pid_t *ret_pid)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd, r = 0;

	fd = dial(run_dir);
	if (fd < 0)
		return fd;
	/* of the connecting side, this is whoever called listen() */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		r = -errno;
	else
		*ret_pid = cred.pid;
	close(fd);
	return r;
}
