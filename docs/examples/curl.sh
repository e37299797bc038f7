#!/usr/bin/env bash
# Prints every activity as one line of JSON. The cursor of the last one is kept in a file, so that a new start resumes after it.
#   ./curl.sh [FILE]      the file with the cursor; default: .mullion-cursor
set -euo pipefail
url=${MULLION_URL:-http://localhost:4000/graphql}
file=${1:-.mullion-cursor}
headers=(-H 'content-type: application/json')
if [ -n "${MULLION_KEY:-}" ]; then headers+=(-H "authorization: Bearer $MULLION_KEY"); fi

# Without a cursor, begin with the current one.
if [ ! -s "$file" ]; then
  answer=$(curl -sS --fail-with-body "$url" "${headers[@]}" -d '{"query": "{ eventCursor }"}')
  sed -E 's/.*"eventCursor":"([^"]*)".*/\1/' <<<"$answer" >"$file"
fi

while true; do
  # A stream consists of lines such as `id: CURSOR` and `data: {…}`. Keep-alives bring an id, too.
  id=
  while IFS= read -r line; do
    case $line in
      'id: '*) id=${line#id: } ;;
      'data: {'*) printf '%s\n' "${line#data: }" ;;
      '') if [ -n "$id" ]; then printf '%s\n' "$id" >"$file"; fi ;;
    esac
  done < <(curl -sSN "$url/stream" "${headers[@]}" -H "last-event-id: $(cat "$file")" \
    -d '{"query": "subscription { activity { kind summary } }"}')
  sleep "0.$((RANDOM % 9 + 1))" # the connection broke: reconnect, not all clients at once
done
