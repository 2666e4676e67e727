"""Every family of a load run that ``/metrics`` may hold; each has the label ``scenario`` too.

Plain data: names, help texts, labels. Knows no value and no page.
"""

from probes.families import Family, FamilyType

# load.md 9.2.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SCENARIO = "scenario"


def _gauge(name: str, text: str, *labels: str, kind: FamilyType = "gauge") -> Family:
    return Family(name, text, (SCENARIO, *labels), kind)


def _counter(name: str, text: str, *labels: str) -> Family:
    return Family(name, text, (SCENARIO, *labels), "counter")


def _histogram(name: str, text: str, *labels: str) -> Family:
    return Family(name, text, (SCENARIO, *labels, "le"), "histogram")


ACTIVE = _gauge("loadtest_run_active", "1 while a run goes on, from its first rail to its report")
USERS = _gauge("loadtest_users", "Virtual users there are now")
USERS_MAX = _gauge("loadtest_users_max", "Virtual users there may be")
TARGET_RATE = _gauge(
    "loadtest_target_rate", "Iterations a second that are due now; 0 in a model without a rate"
)
LIVE = (ACTIVE, USERS, USERS_MAX, TARGET_RATE)

REQUESTS = _counter(
    "loadtest_requests_total",
    "Requests of every stage, warm-up and set-up included",
    "journey", "step", "method", "code_class", "outcome",
)  # fmt: skip
REQUEST_SECONDS = _histogram(
    "loadtest_request_duration_seconds",
    "Duration of the requests that were up or degraded, in seconds",
    "journey", "step",
)  # fmt: skip
ERRORS = _counter("loadtest_errors_total", "Requests that failed, by reason", "step", "reason")
SENT = _counter("loadtest_data_sent_bytes_total", "Bytes sent")
RECEIVED = _counter("loadtest_data_received_bytes_total", "Bytes received")
ITERATIONS = _counter("loadtest_iterations_total", "Iterations that ended", "journey", "outcome")
DROPPED = _counter("loadtest_iterations_dropped_total", "Arrivals that found no free user")
ITERATION_SECONDS = _histogram(
    "loadtest_iteration_duration_seconds",
    "Duration of iterations of any outcome, from their begin, in seconds",
    "journey",
)
LATENCY = _histogram(
    "loadtest_iteration_latency_seconds",
    "Duration of iterations of any outcome, from their intended begin, in seconds",
    "journey",
)
START_DELAY = _histogram(
    "loadtest_start_delay_seconds",
    "How long after its intended begin an iteration began, in seconds",
    "journey",
)
COUNTED = (
    REQUESTS, REQUEST_SECONDS, ERRORS, SENT, RECEIVED, ITERATIONS, DROPPED, ITERATION_SECONDS,
    LATENCY, START_DELAY,
)  # fmt: skip

CPU = _gauge(
    "loadtest_generator_cpu_ratio",
    "Processor time of a generator, in its busiest second of the last run",
    "shard",
)
LAG = _gauge(
    "loadtest_generator_loop_lag_seconds",
    "Lag of a generator (p99), in the worst second of the last run",
    "shard",
)
MEMORY = _gauge(
    "loadtest_generator_resident_memory_bytes", "Memory of a generator, at most", "shard"
)
OPEN_FDS = _gauge("loadtest_generator_open_fds", "Descriptors of a generator, at most", "shard")
SATURATED = _gauge(
    "loadtest_generator_saturated",
    "1 if a generator of the last run was too busy to measure in too many of its seconds",
)
SHARDS = _gauge("loadtest_shards", "Generators of the last run by state", "state")
RECORDS_LOST = _counter("loadtest_records_lost_total", "Records of generators that never came")
OVERFLOW = _counter(
    "loadtest_label_overflow_total", "Labels that became other: there were too many"
)
GENERATORS = (CPU, LAG, MEMORY, OPEN_FDS, SATURATED, SHARDS, RECORDS_LOST, OVERFLOW)

VERDICT = _gauge(
    "loadtest_last_run_verdict", "1 for the verdict of the last run, else 0", "verdict"
)
STARTED = _gauge(
    "loadtest_last_run_start_timestamp_seconds", "When the last run began, as Unix time"
)
ENDED = _gauge("loadtest_last_run_end_timestamp_seconds", "When the last run ended, as Unix time")
INFO = _gauge(
    "loadtest_last_run_info",
    "Identity of the last run",
    "run_id", "git_ref", "config_hash",
    kind="info",
)  # fmt: skip
THRESHOLD_VALUE = _gauge(
    "loadtest_threshold_value", "Value of a threshold; absent without data", "threshold"
)
THRESHOLD_LIMIT = _gauge(
    "loadtest_threshold_limit", "Limit of a threshold, in its unit", "threshold"
)
THRESHOLD_OK = _gauge(
    "loadtest_threshold_ok", "1 if a threshold held, 0 if not or without data", "threshold"
)
QUANTILE = _gauge(
    "loadtest_last_run_quantile_seconds",
    "Quantile of the measured requests of the last run that were up or degraded",
    "step", "quantile",
    kind="summary",
)  # fmt: skip
BEFORE = _gauge("loadtest_baseline_value", "Value of a statistic in the baseline", "stat")
RATIO = _gauge(
    "loadtest_regression_ratio", "By what share a statistic is worse than the baseline", "stat"
)
OF_LAST_RUN = (
    VERDICT, STARTED, ENDED, INFO, THRESHOLD_VALUE, THRESHOLD_LIMIT, THRESHOLD_OK, QUANTILE,
    BEFORE, RATIO,
)  # fmt: skip
RUNS = _counter("loadtest_runs_total", "Runs that ended", "verdict")
REFUSED = _counter("loadtest_refused_total", "Runs that a rail refused", "reason")
NEXT_RUN = _gauge(
    "loadtest_next_run_timestamp_seconds", "When the schedule has the next run, as Unix time"
)
LOAD: tuple[Family, ...] = (
    *LIVE, *COUNTED, *GENERATORS, *OF_LAST_RUN, RUNS, REFUSED, NEXT_RUN,
)  # fmt: skip

# Names of https://github.com/ContainerSolutions/locust_exporter: times in milliseconds, as there.
LOCUST_USERS = _gauge("locust_users", "Users there are now")
LOCUST_RUNNING = _gauge("locust_running", "0 stopped, 1 starting, 2 running")
LOCUST_REQUESTS = _gauge(
    "locust_requests_num_requests", "Requests of the run so far", "method", "name"
)
LOCUST_FAILURES = _gauge(
    "locust_requests_num_failures", "Failed requests of the run so far", "method", "name"
)
LOCUST_AVERAGE = _gauge(
    "locust_requests_avg_response_time", "Mean duration, in milliseconds", "method", "name"
)
LOCUST_MEDIAN = _gauge(
    "locust_requests_median_response_time", "Median duration, in milliseconds", "method", "name"
)
LOCUST_LEAST = _gauge(
    "locust_requests_min_response_time", "Least duration, in milliseconds", "method", "name"
)
LOCUST_GREATEST = _gauge(
    "locust_requests_max_response_time", "Greatest duration, in milliseconds", "method", "name"
)
LOCUST_RATE = _gauge("locust_requests_current_rps", "Requests in the last second")
LOCUST_FAIL_RATIO = _gauge("locust_requests_fail_ratio", "Share of the requests that failed, 0-1")
LOCUST_P50 = _gauge(
    "locust_requests_current_response_time_percentile_50",
    "Median duration in the last second, in milliseconds",
)
LOCUST_P95 = _gauge(
    "locust_requests_current_response_time_percentile_95",
    "95th percentile of the durations in the last second, in milliseconds",
)
LOCUST_ERRORS = _gauge(
    "locust_errors", "Failed requests of the run so far; error is the reason", "method", "name",
    "error",
)  # fmt: skip
LOCUST_WORKERS = _gauge("locust_workers_count", "Generators of the run")
LOCUST_WORKERS_RUNNING = _gauge("locust_workers_running_count", "Generators that run")
LOCUST_WORKERS_MISSING = _gauge("locust_workers_missing_count", "Generators that were lost")
LOCUST: tuple[Family, ...] = (
    LOCUST_USERS, LOCUST_RUNNING, LOCUST_REQUESTS, LOCUST_FAILURES, LOCUST_AVERAGE, LOCUST_MEDIAN,
    LOCUST_LEAST, LOCUST_GREATEST, LOCUST_RATE, LOCUST_FAIL_RATIO, LOCUST_P50, LOCUST_P95,
    LOCUST_ERRORS, LOCUST_WORKERS, LOCUST_WORKERS_RUNNING, LOCUST_WORKERS_MISSING,
)  # fmt: skip

# Names of k6's output for Prometheus: https://grafana.com/docs/k6/latest/results-output/real-time/
K6_VUS = _gauge("k6_vus", "Users there are now")
K6_REQUESTS = _counter("k6_http_reqs_total", "Requests", "name", "method")
K6_P99 = _gauge(
    "k6_http_req_duration_p99",
    "99th percentile of the durations of the run so far, in seconds",
    "name", "method",
)  # fmt: skip
K6_FAILED = _gauge(
    "k6_http_req_failed_rate", "Share of the requests of the run that failed, 0-1", "name", "method"
)
K6_ITERATIONS = _counter("k6_iterations_total", "Iterations that ended")
K6_DROPPED = _counter("k6_dropped_iterations_total", "Arrivals that found no free user")
K6_CHECKS = _gauge(
    "k6_checks_rate", "Share of the requests of the run that met what was expected, 0-1"
)
K6: tuple[Family, ...] = (
    K6_VUS, K6_REQUESTS, K6_P99, K6_FAILED, K6_ITERATIONS, K6_DROPPED, K6_CHECKS,
)  # fmt: skip
