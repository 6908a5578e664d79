#!/bin/sh
# Makes the certificate of the tests, valid for a hundred years; its key protects nothing. Needs openssl.
set -eu
cd "$(dirname "$0")"
extensions=$(mktemp)
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >"$extensions"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -subj "/CN=Granary test authority" -days 36500 -out ca.pem
key server
openssl req -new -key server.key -subj "/CN=server" |
  openssl x509 -req -CA ca.pem -CAkey ca.key -days 36500 -extfile "$extensions" -out server.pem
rm -f "$extensions" ca.key ca.srl
