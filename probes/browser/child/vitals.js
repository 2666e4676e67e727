// Web vitals of the top document, observed in a world of our own: the page cannot see it, nor
// break it by overwriting JSON or performance. Tells through the binding `sondeVitals`.
(() => {
  if (window !== window.top || globalThis.sondeReport) return;
  const send = globalThis.sondeVitals;
  // A page with more long tasks than this is told by the first ones; a session of shifts and the
  // worst interaction are kept as they are found.
  const MAX_TASKS = 1000, MAX_INTERACTIONS = 1000;
  const SESSION_GAP_MS = 1000, SESSION_MS = 5000;
  let fcp = null, lcp = null, worst = 0, total = 0, began = 0, last = 0, canShift = false;
  const tasks = [];
  const interactions = new Map();
  const interact = (entry) => {
    if (!entry.interactionId) return;
    const before = interactions.get(entry.interactionId) || 0;
    if (before || interactions.size < MAX_INTERACTIONS) {
      interactions.set(entry.interactionId, Math.max(before, entry.duration));
    }
  };
  const takes = {
    paint: (entry) => { if (entry.name === 'first-contentful-paint') fcp = entry.startTime; },
    'largest-contentful-paint': (entry) => { lcp = entry.startTime; },
    'layout-shift': (entry) => {
      if (entry.hadRecentInput) return;
      const at = entry.startTime;
      if (total && at - last < SESSION_GAP_MS && at - began < SESSION_MS) total += entry.value;
      else { total = entry.value; began = at; }
      last = at;
      worst = Math.max(worst, total);
    },
    event: interact,
    'first-input': interact,
    longtask: (entry) => {
      if (tasks.length < MAX_TASKS) tasks.push([entry.startTime, entry.duration]);
    },
  };
  const observers = [];
  for (const [type, take] of Object.entries(takes)) {
    if (!(PerformanceObserver.supportedEntryTypes || []).includes(type)) continue;
    const eat = (entries) => entries.forEach(take);
    const observer = new PerformanceObserver((list) => { eat(list.getEntries()); tell(); });
    observer.observe({type, buffered: true, durationThreshold: 16});
    observers.push([observer, eat]);
    if (type === 'layout-shift') canShift = true;
  }
  const NAVIGATION = [
    'redirectStart', 'redirectEnd', 'domainLookupStart', 'domainLookupEnd', 'connectStart',
    'secureConnectionStart', 'connectEnd', 'requestStart', 'responseStart', 'responseEnd',
    'domInteractive', 'domContentLoadedEventEnd', 'domComplete', 'loadEventEnd',
  ];
  const tell = () => {
    const entry = performance.getEntriesByType('navigation')[0];
    const navigation = {};
    if (entry) for (const name of NAVIGATION) navigation[name] = entry[name];
    // the slowest but one for each 50 of them, as the definition of INP says
    const slow = [...interactions.values()].sort((a, b) => b - a);
    const inp = slow.length ? slow[Math.min(slow.length - 1, Math.floor(slow.length / 50))] : null;
    send(JSON.stringify({
      document: performance.timeOrigin, now: performance.now(), fcp, lcp, inp, tasks, navigation,
      cls: canShift && fcp !== null ? worst : null,
    }));
  };
  const flush = () => {
    for (const [observer, eat] of observers) eat(observer.takeRecords());
    tell();
    return performance.timeOrigin;
  };
  // a page that was just loaded is painted with the next frame, if it is painted at all
  const FRAME_MS = 200;
  globalThis.sondeReport = () => new Promise((resolve) => {
    if (fcp !== null) resolve();
    setTimeout(resolve, FRAME_MS);
    requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve)));
  }).then(flush);
  addEventListener('pagehide', flush, true);
})();
