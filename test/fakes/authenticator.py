#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The app on somebody's telephone."""
import base64
import hmac
import struct
import time


def totp(secret, later=0):
    """The code of RFC 6238 now, or so many steps later."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + later), "sha1").digest()
    at = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff) % 1000000)
