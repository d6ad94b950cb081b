#!/bin/sh
# room.sh WHAT FOLDER GIGABYTES [FOLDER GIGABYTES]...: says what is to come and how much disk it needs where, and fails when
# there is less. Folders on one disk need theirs together.
set -eu
what=$1
shift
places='' needs=''
while [ $# -gt 0 ]; do
	folder=$1
	until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
	places="$places, $2 GB in $1"
	needs="$needs$(df -Pk "$folder" | awk -v wanted="$2" 'NR == 2 { print $1 ":" $NF, $4, wanted }') $1
"
	shift 2
done
echo "== $what and needs free disk: ${places#, }"
printf %s "$needs" | awk '
	{ free[$1] = $2 / 1048576; wanted[$1] += $3; where[$1] = where[$1] (where[$1] ? " and " : "") $4 }
	END {
		for (disk in wanted) if (free[disk] < wanted[disk]) {
			printf "the disk of %s has %.1f GB free, and %d are needed: make room, or set TMPDIR, XDG_CACHE_HOME or GOCACHE to where there is\n", where[disk], free[disk], wanted[disk]
			failed = 1
		}
		exit failed
	}'
