"""Signed readings as COSE_Sign1 by libraries that are not ours: pycose 1.1.0 over cryptography 50 and ecdsa 0.19, base58 2.1.

    pip install pycose==1.1.0 base58==2.1.1 cryptography
    python make_cases.py > cases.json

Keys: the private numbers 1, and SHA-256 of "a sensor"; ES256 signatures are drawn anew on each run, and the other s is added to each.
"""

import hashlib
import json
import struct

import base58
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pycose.algorithms import EdDSA, Es256
from pycose.headers import KID, Algorithm
from pycose.keys import EC2Key, OKPKey
from pycose.keys.curves import P256, Ed25519
from pycose.messages import Sign1Message

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
SECRETS = [(1).to_bytes(32, "big"), hashlib.sha256(b"a sensor").digest()]


def reading(kind, public, number):
    """Bytes of a reading (docs/devices.md): -1.25 degC, 81 %, no pressure."""
    head = bytes([kind]) + public + struct.pack(">QQ", number, 1_358_830_800 + 3_600 * number)
    return head + bytes([5 if number else 0] * 32) + bytes([3]) + struct.pack(">iii", -125, 8_100, 0)


def message(algorithm, key, public, payload):
    made = Sign1Message(phdr={Algorithm: algorithm}, uhdr={KID: public}, payload=payload)
    made.external_aad = b"proofmesh/reading/v1"
    made.key = key
    return made.encode(tag=True)


def es256(secret, number):
    pair = ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())
    public = pair.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    point = pair.public_key().public_numbers()
    x, y = point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")
    made = message(Es256, EC2Key(crv=P256, x=x, y=y, d=secret), public, reading(2, public, number))
    s = int.from_bytes(made[-32:], "big")
    other = made[:-32] + (N - s).to_bytes(32, "big")
    low, high = (made, other) if s <= N // 2 else (other, made)
    did = "did:key:z" + base58.b58encode(bytes([0x80, 0x24]) + public).decode()
    return {"did": did, "number": number, "cose": low.hex(), "other_s": high.hex()}


def eddsa(secret, number):
    pair = ed25519.Ed25519PrivateKey.from_private_bytes(secret)
    public = pair.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    made = message(EdDSA, OKPKey(crv=Ed25519, x=public, d=secret), public, reading(1, public, number))
    did = "did:key:z" + base58.b58encode(bytes([0xED, 0x01]) + public).decode()
    return {"did": did, "number": number, "cose": made.hex()}


cases = [make(secret, number) for make in (es256, eddsa) for secret in SECRETS for number in (0, 7)]
print(json.dumps(cases, indent=1))
