#!/usr/bin/env bash
# Installs Django, Channels, channels_redis, daphne and Redis from Debian's
# archive (as root). RUNLEVEL=1 keeps the package from starting a Redis.
set -euo pipefail
export RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends \
  redis-server python3-django python3-django-channels python3-channels-redis daphne
