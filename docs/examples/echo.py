#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The fastlo opt-in from Python: a plain setsockopt, no binding needed.

An echo server and its client over TCP, each printing what FASTLO_INFO says of its end. Without
fastlod both say so and use plain TCP.
    echo.py server PORT
    echo.py client PORT TEXT
"""
import errno
import socket
import struct
import sys

# include/fastlo/fastlo.h
SOL_FASTLO = 64081
FASTLO_ENABLE = 1
FASTLO_INFO = 2
INFO = struct.Struct("=II6Q")  # struct fastlo_info
STATES = ("off", "tcp", "observing", "spliced", "yielding", "draining")


def opted_in_socket():
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(SOL_FASTLO, FASTLO_ENABLE, 1)
    except OSError as error:
        hint = " (fastlod is not running)" if error.errno == errno.ENOPROTOOPT else ""
        print(f"echo.py: not opted in: {error.strerror}{hint}, using plain TCP", file=sys.stderr)
    return sock


def print_info(sock):
    try:
        raw = sock.getsockopt(SOL_FASTLO, FASTLO_INFO, INFO.size)
    except OSError:
        print("state: plain TCP", flush=True)
        return
    state, reason, _pair, spliced, _msgs, tcp, arrived, _returned = INFO.unpack(raw)
    name = STATES[state] if state < len(STATES) else str(state)
    print(f"state: {name} (reason {reason})")
    print(f"sent: {spliced} bytes spliced, {tcp} over TCP; spliced to this end: {arrived}", flush=True)


def receive(sock):
    """A blocking recv of a spliced socket may say EAGAIN (docs/DEVIATIONS.md): call it again."""
    while True:
        try:
            return sock.recv(4096)
        except BlockingIOError:
            continue


def serve(port):
    with opted_in_socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        while True:
            conn, _ = listener.accept()  # opted in: inherited from the listener
            with conn:
                try:
                    while data := receive(conn):
                        conn.sendall(data)
                except ConnectionError as error:
                    print(f"echo.py: {error.strerror}", file=sys.stderr)
                print_info(conn)


def talk(port, text):
    data = text.encode()
    with opted_in_socket() as sock:
        sock.connect(("127.0.0.1", port))
        sock.sendall(data)
        answer = b""
        while len(answer) < len(data):
            part = receive(sock)
            if not part:
                sys.exit("echo.py: the server closed the connection")
            answer += part
        print(answer.decode())
        print_info(sock)


def main():
    args = sys.argv[1:]
    if len(args) < 2 or not args[1].isdecimal() or (args[0], len(args)) not in (("server", 2), ("client", 3)):
        sys.exit("usage: echo.py server PORT | echo.py client PORT TEXT")
    port = int(args[1])
    try:
        if args[0] == "server":
            serve(port)
        else:
            talk(port, args[2])
    except OSError as error:
        sys.exit(f"echo.py: {error.strerror}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
