#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Makes the certificates of the TLS tests in a directory: certificates.sh DIRECTORY
#
# ca          the authority they trust            other-ca    one they do not
# server      localhost and 127.0.0.1             client      for clients
# expired     localhost, until 2021               stranger    localhost, by other-ca
# own         for a.example, issued by itself and marked as an authority, with a common name only:
#             what `openssl req -x509` makes
# own-expired the same, until 2021
set -eu
cd "$1"

cat > openssl.cnf <<'CONFIG'
[req]
distinguished_name = name
prompt = no
[name]
[ca]
default_ca = authority
[authority]
database = index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
[any]
commonName = supplied
[v3_ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, digitalSignature
[server]
basicConstraints = CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1, IP:::1
extendedKeyUsage = serverAuth
[client]
basicConstraints = CA:FALSE
extendedKeyUsage = clientAuth
[own]
basicConstraints = critical, CA:TRUE
CONFIG
: > index

key() { # name
    openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"
    openssl req -new -config openssl.cnf -key "$1.key" -subj "/CN=${2:-$1}" -out "$1.csr"
}
issue() { # name, section, dates, issuer's options
    name=$1 section=$2 dates=$3
    shift 3
    # shellcheck disable=SC2086
    openssl ca -batch -notext -config openssl.cnf -extensions "$section" -outdir . -in "$name.csr" \
        -out "$name.pem" $dates "$@" 2> "$name.log" || { cat "$name.log" >&2; exit 1; }
}
PAST="-startdate 20200101000000Z -enddate 20210101000000Z"

for authority in ca other-ca; do
    key "$authority"
    issue "$authority" v3_ca "-days 3650" -selfsign -keyfile "$authority.key"
done
for row in "server server" "client client" "expired server" "stranger server"; do
    name=${row% *}
    authority=ca dates="-days 3650"
    [ "$name" = expired ] && dates=$PAST
    [ "$name" = stranger ] && authority=other-ca
    key "$name"
    issue "$name" "${row#* }" "$dates" -cert "$authority.pem" -keyfile "$authority.key"
done
key own a.example
issue own own "-days 3650" -selfsign -keyfile own.key
key own-expired a.example
issue own-expired own "$PAST" -selfsign -keyfile own-expired.key
rm -f ./*.csr ./*.log ./index* openssl.cnf ./[0-9A-F]*.pem
