#!/bin/sh
# Makes the certificates of the tests, valid for a hundred years; their keys protect nothing. Needs openssl.
set -eu
cd "$(dirname "$0")"
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }
authority() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -subj "$2" -days 36500 -out "$1.pem"
}
signed() { # name, subject, authority, extensions
  key "$1"
  openssl req -new -key "$1.key" -subj "$2" |
    openssl x509 -req -CA "$3.pem" -CAkey "$3.key" -days 36500 -extfile "$4" -out "$1.pem"
}
extensions=$(mktemp)
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >"$extensions"
authority ca "/CN=Granary test authority"
authority stranger-ca "/CN=Strange authority"
signed server "/CN=server one" ca "$extensions"
signed server2 "/CN=server two" ca "$extensions"
signed client "/O=Example/CN=ci" ca "$extensions"
signed stranger "/O=Example/CN=ci" stranger-ca "$extensions"
rm -f "$extensions" ca.key stranger-ca.key ca.srl stranger-ca.srl
