"""Tests on a real WordPress: MariaDB, php-fpm and nginx, started by a lab command that the environment names."""
