<?php
// An object cache of the tests: WordPress' objects in a Redis, under the keys that its Redis drop-ins use.
// prefix + table prefix without _ : group : key, with : in a part made -. Nothing here is for production.
class WP_Object_Cache {
    public $redis, $local = [], $passing = [];
    function __construct() {
        $this->redis = new Redis();
        $this->redis->connect('127.0.0.1', (int) '%PORT%', 1.0);
        $this->redis->auth('%PASSWORD%');
    }
    function name($key, $group) {
        global $table_prefix;
        $parts = array_map(fn ($part) => str_replace(':', '-', (string) $part), [$group ?: 'default', $key]);
        return WP_REDIS_PREFIX . trim($table_prefix, '_') . ':' . implode(':', $parts);
    }
    function get($key, $group, &$found) {
        $name = $this->name($key, $group);
        if (!array_key_exists($name, $this->local)) {
            $value = isset($this->passing[$group]) ? false : $this->redis->get($name);
            if ($value === false) { $found = false; return false; }
            $this->local[$name] = maybe_unserialize($value);
        }
        $found = true;
        return is_object($this->local[$name]) ? clone $this->local[$name] : $this->local[$name];
    }
    function set($key, $value, $group, $end) {
        $name = $this->name($key, $group);
        $this->local[$name] = is_object($value) ? clone $value : $value;
        if (isset($this->passing[$group])) return true;
        return $this->redis->set($name, maybe_serialize($value), $end ? ['ex' => (int) $end] : []);
    }
    function delete($key, $group) {
        $name = $this->name($key, $group);
        $there = array_key_exists($name, $this->local);
        unset($this->local[$name]);
        return isset($this->passing[$group]) ? $there : $this->redis->del($name) > 0;
    }
}
function wp_cache_init() { $GLOBALS['wp_object_cache'] = new WP_Object_Cache(); }
function wp_cache_get($key, $group = '', $force = false, &$found = null) { global $wp_object_cache; return $wp_object_cache->get($key, $group, $found); }
function wp_cache_set($key, $value, $group = '', $end = 0) { global $wp_object_cache; return $wp_object_cache->set($key, $value, $group, $end); }
function wp_cache_add($key, $value, $group = '', $end = 0) {
    if (wp_suspend_cache_addition()) return false;
    wp_cache_get($key, $group, false, $found);
    return $found ? false : wp_cache_set($key, $value, $group, $end);
}
function wp_cache_replace($key, $value, $group = '', $end = 0) {
    wp_cache_get($key, $group, false, $found);
    return $found ? wp_cache_set($key, $value, $group, $end) : false;
}
function wp_cache_delete($key, $group = '') { global $wp_object_cache; return $wp_object_cache->delete($key, $group); }
function wp_cache_incr($key, $by = 1, $group = '') {
    $value = wp_cache_get($key, $group, false, $found);
    if (!$found) return false;
    wp_cache_set($key, max(0, (int) $value + $by), $group);
    return max(0, (int) $value + $by);
}
function wp_cache_decr($key, $by = 1, $group = '') { return wp_cache_incr($key, -$by, $group); }
function wp_cache_flush() { global $wp_object_cache; $wp_object_cache->local = []; return $wp_object_cache->redis->flushDB(); }
function wp_cache_close() { return true; }
function wp_cache_add_global_groups($groups) {}
function wp_cache_add_non_persistent_groups($groups) { global $wp_object_cache; foreach ((array) $groups as $group) $wp_object_cache->passing[$group] = true; }
function wp_cache_switch_to_blog($blog) {}
