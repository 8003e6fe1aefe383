<?php
/**
 * Plugin Name: anp
 * Description: Runs due events and publishes due posts when anp asks, and keeps other triggers from doing it twice.
 *
 * One file, used in two ways: as a must-use plugin (copy it to wp-content/mu-plugins/anp.php), and as the script
 * that anp's worker runs with php beside the site's files. As a plugin it also guards wp-cron.php, and merges writes of
 * the cron option, so that events scheduled at the same time by two processes are both kept.
 *
 * Requests over HTTP need a secret that anp knows too, in wp-config.php:
 *     define('ANP_SECRET', '...');            // or define('ANP_SECRET_FILE', '/run/secrets/anp_wordpress');
 */
if (!class_exists('Anp_Work', false)) {
    final class Anp_Work
    {
        /** Seconds by which the clocks of both sides may differ, and for which a nonce is remembered twice over. */
        const WINDOW = 60;
        /** Seconds to wait for another process that changes the cron option. */
        const PATIENCE = 5;

        /** Whether this process does work for anp. */
        public static $ours = false;
        /** Whether the site has this file as a plugin, so that wp-cron.php is guarded. */
        public static $installed = false;
        private static $job = [];
        private static $nonce = '';
        /** Event that this process has begun and not ended. */
        private static $open = null;

        // -- the two ways in ----------------------------------------------------------------------

        /** Called while must-use plugins are loaded. */
        public static function plugged()
        {
            self::$installed = true;
            self::watch();
            if (self::$ours) {
                return;
            }
            if (isset($_SERVER['HTTP_X_ANP_SIGNATURE'])) {
                self::accept();
            } elseif (defined('DOING_CRON') && DOING_CRON) {
                self::guard_wp_cron();
            }
        }

        /** A signed request: checked before anything else of the site runs, worked on once all is loaded. */
        private static function accept()
        {
            $body = (string) file_get_contents('php://input');
            $why = self::refusal($body);
            if ($why) {
                self::answer(['state' => 'refused', 'why' => $why], 403);
            }
            self::$ours = true;
            self::$job = json_decode($body, true);
            defined('DOING_CRON') || define('DOING_CRON', true);
            ignore_user_abort(true);
            set_time_limit((int) (self::$job['limit'] ?? 60) + 5);
            add_action('wp_loaded', function () {
                self::answer(self::work(self::$job));
            }, PHP_INT_MAX);
        }

        /** Why a request is not worked on; empty when it is. A nonce is used up by asking. */
        private static function refusal($body)
        {
            global $wpdb;
            $secret = self::secret();
            $time = $_SERVER['HTTP_X_ANP_TIME'] ?? '';
            $nonce = $_SERVER['HTTP_X_ANP_NONCE'] ?? '';
            if ($secret === '') {
                return 'this site has no ANP_SECRET';
            }
            if (($_SERVER['REQUEST_METHOD'] ?? '') !== 'POST' || !ctype_digit($time) || !preg_match('/^[0-9a-f]{32}$/D', $nonce)) {
                return 'not a signed request';
            }
            $right = hash_hmac('sha256', "anp\n$time\n$nonce\n$body", $secret);
            if (!hash_equals($right, $_SERVER['HTTP_X_ANP_SIGNATURE'])) {
                return 'the signature is wrong: both sides need the same secret';
            }
            if (abs(time() - (int) $time) > self::WINDOW) {
                return 'the request is ' . (time() - (int) $time) . ' s old by the clock of this server';
            }
            $old = $wpdb->prepare("option_name LIKE %s AND option_value < %d", $wpdb->esc_like('_anp_nonce_') . '%', time() - 3 * self::WINDOW);
            $wpdb->query("DELETE FROM $wpdb->options WHERE $old");
            $taken = $wpdb->query($wpdb->prepare(
                "INSERT IGNORE INTO $wpdb->options (option_name, option_value, autoload) VALUES (%s, %d, 'off')", "_anp_nonce_$nonce", time()
            ));
            if ($taken !== 1) {
                return 'the request was made before';
            }
            self::$nonce = $nonce;
            return is_array(json_decode($body, true)) ? '' : 'the body is not JSON';
        }

        private static function secret()
        {
            if (defined('ANP_SECRET_FILE')) {
                return trim((string) @file_get_contents(ANP_SECRET_FILE));
            }
            return defined('ANP_SECRET') ? (string) ANP_SECRET : (string) getenv('ANP_WORDPRESS_SECRET');
        }

        private static function answer(array $what, $status = 200)
        {
            $body = json_encode($what);
            while (ob_get_level() > 0) {
                ob_end_clean();
            }
            if (!headers_sent()) {
                http_response_code($status);
                header('Content-Type: application/json');
                header('Cache-Control: no-store');
                header('X-Anp-Answer: ' . hash_hmac('sha256', 'answer' . "\n" . self::$nonce . "\n" . $body, self::secret()));
            }
            echo $body;
            exit;
        }

        /** Do what was asked; called when WordPress is loaded. */
        public static function work(array $job)
        {
            try {
                switch ($job['do'] ?? '') {
                    case 'event':
                        return self::event($job);
                    case 'publish':
                        return self::publish($job);
                    case 'unpublish':
                        return self::unpublish($job);
                    case 'due':
                        return self::due();
                    case 'hello':
                        return ['state' => 'done', 'wordpress' => get_bloginfo('version'), 'site' => self::site(),
                            'plugin' => self::$installed, 'own_trigger_off' => defined('DISABLE_WP_CRON') && DISABLE_WP_CRON];
                }
                return ['state' => 'refused', 'why' => 'this is no work that is known here'];
            } catch (\Throwable $error) {
                self::failed(self::told($error));
                return ['state' => 'failed', 'why' => self::told($error)];
            }
        }

        // -- locks and fence ----------------------------------------------------------------------

        /** What names the site in lock names: the same digest as on anp's side. */
        private static function site()
        {
            global $wpdb;
            return substr(sha1($wpdb->get_var('SELECT DATABASE()') . ':' . $wpdb->base_prefix), 0, 12);
        }

        private static function lock($name, $seconds = 0)
        {
            global $wpdb;
            return $wpdb->get_var($wpdb->prepare('SELECT GET_LOCK(%s, %d)', 'anp:' . self::site() . ":$name", $seconds)) === '1';
        }

        private static function unlock($name)
        {
            global $wpdb;
            $wpdb->query($wpdb->prepare('DO RELEASE_LOCK(%s)', 'anp:' . self::site() . ":$name"));
        }

        /** Refuse work for an attempt that a later one has overtaken. */
        private static function overtaken(array $job)
        {
            global $wpdb;
            if (!isset($job['fence'])) {
                return false;
            }
            $seen = $wpdb->get_var($wpdb->prepare('SELECT fence FROM anp_fence WHERE name = %s', $job['fence_name']));
            return (int) $seen > (int) $job['fence'];
        }

        /** Forget what this process has read of the options: others may have written since. */
        private static function fresh()
        {
            wp_cache_delete('alloptions', 'options');
            wp_cache_delete('cron', 'options');
            wp_cache_delete('_transient_doing_cron', 'options');
            wp_cache_delete('doing_cron', 'transient');
        }

        // -- other triggers -----------------------------------------------------------------------

        /** wp-cron.php's own lock excludes nobody: one process at a time, and it reads the events anew. */
        private static function guard_wp_cron()
        {
            if (!self::lock('cron')) {
                exit;
            }
            self::fresh();
        }

        /** What every process does that has this file: merge writes of the cron option, publish a post one at a time. */
        public static function watch()
        {
            add_filter('pre_update_option_cron', [self::class, 'merged'], PHP_INT_MAX, 2);
            add_action('update_option_cron', function () {
                self::unlock('option');
            }, PHP_INT_MIN);
            add_action('publish_future_post', function ($id) {
                self::lock('post:' . (int) $id, 30);
                clean_post_cache((int) $id);
            }, PHP_INT_MIN);
            add_action('publish_future_post', function ($id) {
                self::unlock('post:' . (int) $id);
            }, PHP_INT_MAX);
        }

        /** The cron option is read once and written back whole: put only the difference onto what is there now. */
        public static function merged($new, $known)
        {
            global $wpdb;
            if (!is_array($new) || !is_array($known) || $new === $known || !self::lock('option', self::PATIENCE)) {
                return $new;
            }
            $now = maybe_unserialize($wpdb->get_var("SELECT option_value FROM $wpdb->options WHERE option_name = 'cron'"));
            if (!is_array($now) || $now === $known) {
                return $new;
            }
            $there = $now;
            $was = self::flat($known);
            $is = self::flat($new);
            foreach (array_diff_key($was, $is) as [$at, $hook, $key]) {
                unset($now[$at][$hook][$key]);
            }
            foreach ($is as $name => [$at, $hook, $key, $event]) {
                if (!isset($was[$name]) || $was[$name][3] !== $event) {
                    $now[$at][$hook][$key] = $event;
                }
            }
            foreach ($now as $at => $hooks) {
                $now[$at] = is_array($hooks) ? array_filter($hooks) : $hooks;
            }
            $now = array_filter($now);
            uksort($now, 'strnatcasecmp');
            if ($now == $there) { // nothing is left to write, so no write would end the lock
                self::unlock('option');
            }
            return $now + ['version' => 2];
        }

        private static function flat(array $cron)
        {
            $flat = [];
            foreach ($cron as $at => $hooks) {
                foreach (is_array($hooks) ? $hooks : [] as $hook => $events) {
                    foreach ($events as $key => $event) {
                        $flat["$at:$hook:$key"] = [$at, $hook, $key, $event];
                    }
                }
            }
            return $flat;
        }

        /** The first due events as WordPress reads them: [due, hook, key, recurrence]. */
        private static function due()
        {
            if (!is_array(get_option('cron'))) {
                return ['state' => 'failed', 'why' => 'WordPress cannot read its cron option either'];
            }
            $events = [];
            foreach (array_filter(_get_cron_array(), fn($at) => $at <= time(), ARRAY_FILTER_USE_KEY) as $at => $hooks) {
                foreach ($hooks as $hook => $keyed) {
                    foreach ($keyed as $key => $event) {
                        $events[] = [$at, (string) $hook, (string) $key, $event['schedule'] ?: null];
                    }
                }
            }
            return ['state' => 'done', 'events' => array_slice($events, 0, 100)];
        }

        // -- one due event ------------------------------------------------------------------------

        /** Claim an event under the lock of all triggers, take it out of the option, then run its hook. */
        private static function event(array $job)
        {
            if (!self::lock('event:' . $job['event']) || !self::lock('cron', self::PATIENCE)) {
                return ['state' => 'busy', 'why' => 'another process runs events'];
            }
            self::fresh();
            if (self::overtaken($job)) {
                return ['state' => 'refused', 'why' => 'a later attempt has begun'];
            }
            if ($held = self::foreign_lock($job['orphan'] ?? '')) {
                return ['state' => 'busy', 'why' => "WordPress' own lock is held since " . gmdate('H:i:s', (int) $held) . ' UTC'];
            }
            [$hook, $args, $answer] = self::claimed($job);
            self::unlock('cron');
            if ($answer) {
                return $answer;
            }
            self::$open = $job;
            register_shutdown_function(function () {
                $last = error_get_last();
                self::failed($last && ($last['type'] & (E_ERROR | E_CORE_ERROR | E_COMPILE_ERROR | E_RECOVERABLE_ERROR))
                    ? $last['message'] : 'the hook ended the process');
            });
            do_action_ref_array($hook, $args);
            self::set($job, 'done', '');
            self::$open = null;
            return ['state' => 'done'];
        }

        /** WordPress' own lock, where a process holds it that may be alive. */
        private static function foreign_lock($orphan)
        {
            $held = get_transient('doing_cron');
            if (!$held || $held + WP_CRON_LOCK_TIMEOUT <= microtime(true)) {
                return null;
            }
            if (self::$installed || $held === $orphan) { // guarded: its holder would hold our lock; or known to be dead
                delete_transient('doing_cron');
                return null;
            }
            return $held;
        }

        /** [hook, arguments, null], or [null, null, answer] when there is nothing to run. */
        private static function claimed(array $job)
        {
            global $wpdb;
            $row = $wpdb->get_row($wpdb->prepare("SELECT * FROM {$wpdb->base_prefix}anp_event WHERE event = %s", $job['event']));
            if (!$row) {
                return [null, null, ['state' => 'refused', 'why' => 'the event is not written down']];
            }
            $found = _get_cron_array()[(int) $row->due][$row->hook][$row->sig] ?? null;
            if (!empty($job['again'])) {
                $args = @unserialize($row->args, ['allowed_classes' => false]);
            } elseif ($found === null) {
                self::set($job, 'gone', 'another process ran or removed it');
                return [null, null, ['state' => 'gone']];
            } else {
                $args = $found['args'];
            }
            $mine = sprintf('%.22F', microtime(true));
            $begun = $wpdb->query($wpdb->prepare(
                "UPDATE {$wpdb->base_prefix}anp_event SET state = 'begun', attempts = attempts + 1, args = %s, wp_lock = %s, began = UTC_TIMESTAMP(),
                 note = '' WHERE event = %s AND state = 'planned' AND fence = %d", serialize($args), $mine, $job['event'], $row->fence
            ));
            if ($begun !== 1) {
                return [null, null, ['state' => 'refused', 'why' => 'another attempt has begun it']];
            }
            if (!empty($job['again'])) {
                return [$row->hook, (array) $args, null];
            }
            set_transient('doing_cron', $mine);
            if ($found['schedule']) {
                wp_reschedule_event((int) $row->due, $found['schedule'], $row->hook, $args);
            }
            $out = wp_unschedule_event((int) $row->due, $row->hook, $args, true);
            delete_transient('doing_cron');
            if ($out !== true) {
                self::set($job, 'planned', 'it could not be taken out of the cron option');
                return [null, null, ['state' => 'failed', 'why' => 'the cron option could not be written']];
            }
            return [$row->hook, $args, null];
        }

        private static function set(array $job, $state, $note)
        {
            global $wpdb;
            $wpdb->query($wpdb->prepare(
                "UPDATE {$wpdb->base_prefix}anp_event SET state = %s, note = %s, ended = UTC_TIMESTAMP() WHERE event = %s AND state IN ('planned', 'begun')",
                $state, substr($note, 0, 2000), $job['event']
            ));
        }

        private static function failed($why)
        {
            if (self::$open) {
                self::set(self::$open, 'failed', $why);
                self::$open = null;
            }
        }

        private static function told(\Throwable $error)
        {
            return get_class($error) . ': ' . $error->getMessage() . ' in ' . basename($error->getFile()) . ':' . $error->getLine();
        }

        // -- posts --------------------------------------------------------------------------------

        /** Publish each post as WordPress does, under a lock of its own. */
        private static function publish(array $job)
        {
            $live = [];
            foreach ($job['ids'] as $id) {
                if (self::lock("post:$id")) {
                    if (self::overtaken($job)) {
                        return ['state' => 'refused', 'why' => 'a later attempt has begun', 'ids' => $live];
                    }
                    clean_post_cache($id);
                    if (get_post_status($id) === 'future') {
                        update_post_meta($id, '_anp_published', wp_slash(wp_json_encode(['run' => $job['run'], 'at' => gmdate('Y-m-d\TH:i:s')])));
                        self::fresh();
                        check_and_publish_future_post($id);
                        $live[] = $id;
                        get_post_status($id) === 'publish' || delete_post_meta($id, '_anp_published');
                    }
                    self::unlock("post:$id");
                }
            }
            return ['state' => 'done', 'ids' => $live];
        }

        /** Put back what a run published, as wp_publish_post does the other way round; what others published stays. */
        private static function unpublish(array $job)
        {
            global $wpdb;
            $back = [];
            foreach ($job['ids'] as $id) {
                if (self::lock("post:$id", self::PATIENCE)) {
                    if (self::overtaken($job)) {
                        return ['state' => 'refused', 'why' => 'a later attempt has begun', 'ids' => $back];
                    }
                    clean_post_cache($id);
                    $mark = json_decode((string) get_post_meta($id, '_anp_published', true), true);
                    if (($mark['run'] ?? null) === $job['run'] && get_post_status($id) === 'publish') {
                        $wpdb->update($wpdb->posts, ['post_status' => 'future'], ['ID' => $id]);
                        clean_post_cache($id);
                        self::fresh();
                        wp_transition_post_status('future', 'publish', get_post($id));
                        delete_post_meta($id, '_anp_published');
                        $back[] = $id;
                    }
                    self::unlock("post:$id");
                }
            }
            return ['state' => 'done', 'ids' => $back];
        }
    }
}

if (defined('ABSPATH')) {
    Anp_Work::plugged();
} elseif (PHP_SAPI === 'cli' && isset($argv[2])) { // php anp.php FOLDER JOB: the answer is the last line
    $anp_job = json_decode($argv[2], true);
    if (!is_array($anp_job) || !is_file($argv[1] . '/wp-load.php')) {
        fwrite(STDERR, "no WordPress in $argv[1], or a job that is not JSON\n");
        exit(2);
    }
    Anp_Work::$ours = true;
    define('DOING_CRON', true);
    $_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = $anp_job['host'];
    $_SERVER += ['REQUEST_METHOD' => 'GET', 'REQUEST_URI' => '/', 'SERVER_PROTOCOL' => 'HTTP/1.1', 'REMOTE_ADDR' => '127.0.0.1'];
    require $argv[1] . '/wp-load.php';
    Anp_Work::$installed || Anp_Work::watch();
    wp_raise_memory_limit('cron');
    echo "\nanp:", json_encode(Anp_Work::work($anp_job)), "\n";
}
