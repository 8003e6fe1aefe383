<?php
/*
Plugin Name: anp: pages end at different times
Description: A must-use plugin for nginx' page cache: kept pages end within 10 % of their lifetime, not all at once.

nginx heeds X-Accel-Expires before its own fastcgi_cache_valid. Pages of readers whom WordPress knows, errors and
redirects get no such header, and so do feeds and sitemaps: for them nginx' own times hold.
ANP_PAGE_LIFETIME in wp-config.php: seconds, 600 without it.
*/
if (!defined('ABSPATH')) exit;

add_filter('template_include', function ($template) {
    $known = array_filter(array_keys($_COOKIE), fn ($name) => preg_match('/^(wordpress_|wp-|comment_author)/', $name));
    $plain = ($_SERVER['REQUEST_METHOD'] ?? '') === 'GET' && !$known && !defined('DONOTCACHEPAGE');
    if ($plain && !is_404() && !is_user_logged_in() && http_response_code() === 200 && !headers_sent()) {
        $life = defined('ANP_PAGE_LIFETIME') ? (int) ANP_PAGE_LIFETIME : 600;
        header('X-Accel-Expires: ' . mt_rand((int) ($life * 0.9), (int) ($life * 1.1)));
    }
    return $template;
}, PHP_INT_MAX);
