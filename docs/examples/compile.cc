// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// fastlo.h from C++11: opts one socket in, reads the option back and says what it found. It is built
// with -Wall -Wextra -Werror, so it also shows that the header stays clean C++.
//
#include <fastlo/fastlo.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <system_error>
#include <unistd.h>

namespace {

class TcpSocket {
public:
	TcpSocket() : fd_(::socket(AF_INET6, SOCK_STREAM, 0))
	{
		if (fd_ == -1)
			throw std::system_error(errno, std::generic_category(), "socket");
	}
	~TcpSocket() { ::close(fd_); }
	TcpSocket(const TcpSocket &) = delete;
	TcpSocket &operator=(const TcpSocket &) = delete;

	// False where fastlod does not run: the socket is plain TCP then, and just as usable.
	bool opt_in()
	{
		if (fastlo_enable(fd_) == 0)
			return true;
		if (errno == ENOPROTOOPT)
			return false;
		throw std::system_error(errno, std::generic_category(), "fastlo_enable");
	}

	fastlo_info info() const
	{
		fastlo_info info = fastlo_info();
		socklen_t size = sizeof(info);

		if (::getsockopt(fd_, SOL_FASTLO, FASTLO_INFO, &info, &size) == -1)
			throw std::system_error(errno, std::generic_category(), "FASTLO_INFO");
		return info;
	}

private:
	int fd_;
};

static_assert(sizeof(fastlo_info) == FASTLO_INFO_SIZE_V1, "fastlo_info has its first version's size");

} // namespace

int main()
{
	try {
		TcpSocket sock;

		if (!sock.opt_in()) {
			std::cout << "fastlod is not running: plain TCP\n";
			return 0;
		}
		std::cout << "opted in, state " << sock.info().state << " (FASTLO_STATE_TCP is " << FASTLO_STATE_TCP
			  << ")\n";
	} catch (const std::system_error &error) {
		std::cerr << error.what() << '\n';
		return 1;
	}
	return 0;
}
