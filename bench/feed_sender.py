"""A WebSocket server for one client: sends the frames of its standard input again and again.

python bench/feed_sender.py SIZE ROUNDS PER_SECOND      frames of SIZE bytes; 0 a second: no pause

Prints its port. With a pace, each frame is one write at its time on the monotonic clock.
"""

import base64
import hashlib
import socket
import struct
import sys
import time

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def upgrade(peer: socket.socket) -> None:
    """Answer the client's handshake."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += peer.recv(4096)
    line = next(x for x in asked.split(b"\r\n") if x.lower().startswith(b"sec-websocket-key:"))
    proof = hashlib.sha1(line.split(b":", 1)[1].strip() + MAGIC).digest()
    peer.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(proof) + b"\r\n\r\n"
    )


def main() -> None:
    """Serve one client."""
    size, rounds, per_second = (int(text) for text in sys.argv[1:4])
    data = sys.stdin.buffer.read()
    head = struct.pack(">BB", 0x82, size) if size < 126 else struct.pack(">BBH", 0x82, 126, size)
    frames = [head + data[at : at + size] for at in range(0, len(data), size)]
    with socket.create_server(("127.0.0.1", 0)) as gate:
        print(gate.getsockname()[1], flush=True)
        peer, _ = gate.accept()
    with peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        upgrade(peer)
        if per_second == 0:
            wire = b"".join(frames)
            for _ in range(rounds):
                peer.sendall(wire)
        else:
            due = time.monotonic_ns() + 50_000_000
            for _ in range(rounds):
                for frame in frames:
                    while (left := due - time.monotonic_ns()) > 0:
                        time.sleep(max(0.0, (left - 100_000) / 1e9))
                    # The last eight bytes tell when it left.
                    peer.sendall(frame[:-8] + struct.pack("<q", time.monotonic_ns()))
                    due += 1_000_000_000 // per_second
        peer.recv(1)


if __name__ == "__main__":
    main()
