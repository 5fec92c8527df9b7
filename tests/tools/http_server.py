"""An HTTP/1.1 server that writes down each byte of its first connection, both ways.

    http_server.py ADDRESS PORT FOLDER FILE

GET /file answers with FILE. PUT and POST take a body. GET /hold answers only once FOLDER/release
exists: until then the connection stays open, so that a monitor can be asked about it.
FOLDER/received and FOLDER/sent hold what the server read from and wrote to the connection.
FOLDER/allowed holds how many bytes the server may read and write, both together: at that number it
stops until the file says more. What a client can send beyond it is what RECEIVE_BUFFER takes.
"""

import os
import socket
import sys
import time

CHUNK = 1 << 16
RECEIVE_BUFFER = 1 << 18
PAUSE_S = 0.005


class Connection:
    def __init__(self, stream, folder, file):
        self.stream = stream
        self.folder = folder
        self.file = file
        self.received = open(os.path.join(folder, "received"), "wb", buffering=0)
        self.sent = open(os.path.join(folder, "sent"), "wb", buffering=0)
        self.unread = b""
        self.moved = 0

    def may_move(self):
        """Waits until bytes may be moved; returns how many."""
        while True:
            with open(os.path.join(self.folder, "allowed")) as file:
                allowed = int(file.read())
            if allowed > self.moved:
                return min(allowed - self.moved, CHUNK)
            time.sleep(PAUSE_S)

    def receive(self):
        data = self.stream.recv(self.may_move())
        self.moved += len(data)
        self.received.write(data)
        self.unread += data
        return data

    def send(self, data):
        while data:
            piece = data[: self.may_move()]
            self.moved += len(piece)
            self.sent.write(piece)
            self.stream.sendall(piece)
            data = data[len(piece) :]

    def head(self):
        """The head of the next request; nothing when the client has closed."""
        while b"\r\n\r\n" not in self.unread:
            if not self.receive():
                return None
        head, self.unread = self.unread.split(b"\r\n\r\n", 1)
        return head.decode("latin-1")

    def skip_body(self, head):
        left = 0
        for line in head.split("\r\n")[1:]:
            name, value = line.split(":", 1)
            if name.lower() == "content-length":
                left = int(value)
        while left > 0:
            taken = min(left, len(self.unread))
            self.unread = self.unread[taken:]
            left -= taken
            if left > 0 and not self.receive():
                return

    def answer(self, length):
        self.send(b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: %d\r\n\r\n" % length)

    def serve(self):
        while (head := self.head()) is not None:
            self.skip_body(head)
            path = head.split(" ")[1]
            if path == "/file":
                self.answer(os.path.getsize(self.file))
                with open(self.file, "rb") as body:
                    while chunk := body.read(CHUNK):
                        self.send(chunk)
            else:
                while path == "/hold" and not os.path.exists(os.path.join(self.folder, "release")):
                    time.sleep(PAUSE_S)
                self.answer(0)


def main():
    address, port, folder, file = sys.argv[1:]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.create_server((address, int(port)), family=family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    print("ready", flush=True)
    stream, _ = listener.accept()
    Connection(stream, folder, file).serve()


if __name__ == "__main__":
    main()
