// The page's words in its languages, and the switch between them.

const WORDS = {
  en: {
    api: "API",
    theme: "Light or dark",
    headline: "Drop a noisy image.",
    lead: "It comes back clean, in its own format and depth, with its metadata. It goes to this service and nowhere else.",
    choose: "Choose images",
    paste: "or drop them anywhere, or paste",
    try: "Or try one of these",
    "sample-camera": "A photograph at dusk",
    "sample-spiral": "A photograph in little light",
    "sample-photograph": "Added noise, 8-bit colour",
    "sample-sensor": "A dim sensor, 16-bit TIFF",
    image: "Image",
    canvas: "The image. Plus and minus zoom, arrow keys move, 0 fits, 1 shows pixels, space shows the image before.",
    divider: "Before and after",
    before: "Before",
    after: "After",
    removed: "Removed",
    zoom: "Zoom",
    smaller: "Smaller",
    larger: "Larger",
    fit: "Fit",
    settings: "Settings",
    strength: "Strength",
    view: "Show",
    compare: "Before / after",
    "removed-view": "Removed",
    gain: "Amplified",
    plane: "Plane",
    model: "Model",
    "auto-model": "Automatic",
    noise: "Noise",
    "auto-noise": "Estimate it",
    "given-noise": "Standard deviation",
    sigma: "Standard deviation, of 255",
    download: "Download",
    images: "Images",
    more: "Add images",
    drop: "Let go",
    "token-title": "This service asks for a token",
    token: "Token",
    "go-on": "Go on",
    sending: "Sending",
    waiting: "Waiting, {ahead} before it",
    next: "Waiting for its turn",
    working: "Denoising",
    share: "Denoising, {share}%",
    left: "Denoising, {share}%, {left} left",
    full: "The queue is full; trying again",
    preparing: "Preparing the view",
    "used-model": "Model",
    estimated: "Estimated noise, of 255",
    told: "Noise told, of 255",
    taken: "Removed, of 255",
    seconds: "Computed in",
    window: "Shown",
    "window-of": "{low} to {high}",
    reduced: "Shown at 1/{by} of its size",
    kept: "{format}, {depth}, metadata kept",
    facts: "{width} × {height} · {depth} · {format}",
    planes: "{count} planes",
    bits: "{bits} bit",
    float: "float",
    "takes-noise": "is told the noise",
    blind: "finds the noise itself",
    colour: "colour",
    grey: "grey",
    failed: "This did not work: {error}",
    "too-large": "{name} is larger than this service takes ({limit} MB).",
    "denoised-before": "This image was denoised before; doing it again takes more detail away.",
    "stronger-noise": "The noise is stronger than this model has learned. The result may be blotchy.",
    "hardly-noise": "Hardly any noise was found. Lower the strength, or leave the image as it is.",
    "noise-left": "This model left much of the noise. Try a model that is told the level, such as color-small.",
    "not-told": "This model finds the noise itself; the one given is not used.",
  },
  zh: {
    api: "接口",
    theme: "浅色或深色",
    headline: "拖入一张有噪点的图像。",
    lead: "返回干净的图像：格式、位深和元数据都保持不变。图像只会发送到本服务。",
    choose: "选择图像",
    paste: "也可以拖到任意位置，或直接粘贴",
    try: "或者试试这些示例",
    "sample-camera": "黄昏的照片",
    "sample-spiral": "弱光下的照片",
    "sample-photograph": "加入了噪声，8 位彩色",
    "sample-sensor": "弱光传感器，16 位 TIFF",
    image: "图像",
    canvas: "图像。加减号缩放，方向键移动，0 适合窗口，1 显示实际像素，空格显示处理前。",
    divider: "处理前与处理后",
    before: "处理前",
    after: "处理后",
    removed: "去除的部分",
    zoom: "缩放",
    smaller: "缩小",
    larger: "放大",
    fit: "适合",
    settings: "设置",
    strength: "强度",
    view: "显示",
    compare: "前后对比",
    "removed-view": "去除的部分",
    gain: "放大倍数",
    plane: "层",
    model: "模型",
    "auto-model": "自动",
    noise: "噪声",
    "auto-noise": "自动估计",
    "given-noise": "标准差",
    sigma: "标准差（满量程 255）",
    download: "下载",
    images: "图像",
    more: "添加图像",
    drop: "松开即可",
    "token-title": "本服务需要令牌",
    token: "令牌",
    "go-on": "继续",
    sending: "正在上传",
    waiting: "排队中，前面还有 {ahead} 个",
    next: "等待处理",
    working: "正在降噪",
    share: "正在降噪，{share}%",
    left: "正在降噪，{share}%，还需 {left}",
    full: "队列已满，正在重试",
    preparing: "正在准备显示",
    "used-model": "模型",
    estimated: "估计的噪声（/255）",
    told: "给定的噪声（/255）",
    taken: "去除量（/255）",
    seconds: "计算用时",
    window: "显示范围",
    "window-of": "{low} 至 {high}",
    reduced: "以 1/{by} 尺寸显示",
    kept: "{format}，{depth}，元数据保留",
    facts: "{width} × {height} · {depth} · {format}",
    planes: "{count} 层",
    bits: "{bits} 位",
    float: "浮点",
    "takes-noise": "需要噪声强度",
    blind: "自行判断噪声",
    colour: "彩色",
    grey: "灰度",
    failed: "未能完成：{error}",
    "too-large": "{name} 超过本服务的上限（{limit} MB）。",
    "denoised-before": "这张图像已经降噪过；再次处理会损失更多细节。",
    "stronger-noise": "噪声比该模型学过的更强，结果可能不均匀。",
    "hardly-noise": "几乎没有发现噪声。可以降低强度，或保持原样。",
    "noise-left": "该模型留下了较多噪声。可以试试需要噪声强度的模型，例如 color-small。",
    "not-told": "该模型自行判断噪声，给定的数值未被使用。",
  },
};

let language = localStorage.getItem("language") || (navigator.language.startsWith("zh") ? "zh" : "en");

// The text of a word, with {name} replaced by what `values` has for it.
export function word(name, values = {}) {
  const text = WORDS[language][name] ?? name;
  return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

// Whether there is a word of this name.
export const hasWord = (name) => name in WORDS[language];

// Write the words into everything on the page that names one.
export function writeWords(root = document) {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of root.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of root.querySelectorAll("[data-label]")) element.setAttribute("aria-label", word(element.dataset.label));
  const button = document.getElementById("language");
  if (button) {
    button.textContent = language === "zh" ? "English" : "中文";
    button.lang = language === "zh" ? "en" : "zh";
  }
}

// Change to the other language.
export function changeLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem("language", language);
  writeWords();
}
