// What the page says, in both languages. The server sends codes; the words for them are here.

const ENGLISH = {
  title: "hubbub chat",
  other: "中文",
  skip: "Skip to the message field",
  menu: "Rooms and people",
  rooms: "Rooms",
  open: "Enter a room, or open one",
  room: "its name",
  enter: "Enter",
  leave: "Leave",
  enterRoom: "Enter {room}",
  whoIn: { one: "Who is in {room}: {count} person", other: "Who is in {room}: {count} people" },
  nobodyIn: "Nobody is in it",
  unread: { one: "{count} unread", other: "{count} unread" },
  newElsewhere: "There is something new",
  people: { one: "{count} person here", other: "{count} people here" },
  inThisRoom: "In {room}",
  elsewhere: "Not in {room}",
  you: "you",
  writeTo: "Write to {name}",
  changeName: "You are {name}. Change your name",
  rename: "Change your name",
  renameWhy: "Your rooms stay as they are. The others see that you have another name.",
  change: "Change",
  cancel: "Cancel",
  "named red": "red",
  "named green": "green",
  everything: "All messages",
  everythingAbout: "What everybody says, your rooms, and your private messages",
  roomAbout: { one: "{count} person in this room", other: "{count} people in this room" },
  messages: "Messages",
  older: "Show earlier messages",
  beginning: "This is where it begins.",
  nothing: "Nothing has been said yet",
  nothingIn: "Nothing has been said in “{room}” yet",
  nothingHint: "Say hello. To try it with two people, open this page in a second tab and take another name.",
  nothingInHint: "What you write here is seen by the people in this room only.",
  waiting: "Messages that are not sent yet",
  sending: "sending …",
  kept: "will be sent when the connection is back",
  latest: "Latest messages",
  newMessages: { one: "{count} new message", other: "{count} new messages" },
  newLine: "New",
  message: "Message",
  write: "Write a message",
  to: "To",
  everybody: "Everybody",
  onlyTo: "{name} only",
  notAlone: "Not private after all",
  namesOffered: "Names",
  send: "Send",
  keys: "Enter sends, Shift+Enter starts a new line, @name is private",
  left: { one: "{count} character left", other: "{count} characters left" },
  hello: "What shall we call you?",
  introduction: "The others see this name. It is yours while you are here.",
  name: "Your name",
  come: "Come in",
  coming: "One moment …",
  takeover: "Use the name here",
  second: "You are {name} in another tab. To be a second person here, take another name.",
  takeoverOf: "Be {name} in this tab instead",
  moved: "The chat goes on in another tab",
  movedWhy: "Your name is used there, so this tab is not connected any more.",
  back: "Use the chat here",
  today: "Today",
  yesterday: "Yesterday",
  toYou: "private, to you",
  toOther: "private, to {name}",
  joined: "{names} joined",
  left_: "{names} left",
  renamed: "{names} is now called {to}",
  entered: "{names} came into {room}",
  departed: "{names} left {room}",
  and: "{names} and {last}",
  more: { one: "{names} and {count} more", other: "{names} and {count} more" },
  typing: "{names} is typing …",
  typingMany: "{names} are typing …",
  typingCrowd: "Several people are typing …",
  // the connection
  connecting: "Connecting …",
  naming: "Connected",
  connected: "Connected",
  unreachable: "The server does not answer. Trying again …",
  lost: "Connection lost, reconnecting …",
  recovered: "Back. Nothing was missed.",
  caughtUp: { one: "Back. {count} message came meanwhile.", other: "Back. {count} messages came meanwhile." },
  caughtUpMore: "Back. Much was said meanwhile; scroll up for the older part.",
  caughtUpPerhaps: "Back. The history cannot be read just now, so something may be missing.",
  gone: "Not connected",
  noClient: "The Socket.IO client could not be loaded, so this page cannot connect.",
  // what the server tells
  left_room: "You have left {room}",
  slow: {
    one: "You send faster than the others can read. Your messages wait {count} second.",
    other: "You send faster than the others can read. Your messages wait {count} seconds.",
  },
  databaseAway: { one: "The history cannot be stored just now; {count} message waits.", other: "The history cannot be stored just now; {count} messages wait." },
  databaseBack: "The history is stored again.",
  databaseLost: {
    one: "{count} message is lost to the history; everyone who was here has seen it.",
    other: "{count} messages are lost to the history; everyone who was here has seen them.",
  },
  // refusals: of a name, of a room, of a message
  "name empty": "Please enter a name.",
  "name long": "A name has at most 24 characters.",
  "name characters": "A name has no line breaks or invisible characters, and does not begin with @.",
  "name lookalike": "That looks the same as “{other}”, who is here. Please choose another name.",
  "name taken": "Somebody here has this name. Please choose another.",
  "name here": "You are here already, in another tab. Use the name here instead, or choose another one.",
  "room empty": "Please enter the name of a room.",
  "room long": "A room’s name has at most 24 characters.",
  "room characters": "A room’s name has no line breaks or invisible characters.",
  "room already": "You are in {room} already.",
  "room many": "Nobody can be in more than 20 rooms.",
  "room not in": "You are not in {room}.",
  "say empty": "There is nothing to send.",
  "say long": "A message has at most 2000 characters.",
  "say offline": "{to} is not here. The message was not sent.",
  "say yourself": "That is you. Write to somebody else.",
  "say not in": "You are not in {room}, so nothing was sent.",
  "say full": "Too many messages wait for the connection. Please send this one later.",
  silent: "The server has not answered. Please try again.",
  refused: "That was refused ({error}).",
};

/** @type {typeof ENGLISH} */
const CHINESE = {
  title: "hubbub 聊天室",
  other: "English",
  skip: "跳到消息输入框",
  menu: "房间与成员",
  rooms: "房间",
  open: "进入房间，或新建一个",
  room: "房间名",
  enter: "进入",
  leave: "离开",
  enterRoom: "进入{room}房间",
  whoIn: { other: "谁在{room}房间：{count} 人" },
  nobodyIn: "房间里没有人",
  unread: { other: "{count} 条未读" },
  newElsewhere: "有新消息",
  people: { other: "{count} 人在线" },
  inThisRoom: "在{room}房间",
  elsewhere: "不在{room}房间",
  you: "你",
  writeTo: "私聊{name}",
  changeName: "你是{name}。更换用户名",
  rename: "更换用户名",
  renameWhy: "你仍在原来的房间里。其他人会看到你换了名字。",
  change: "更换",
  cancel: "取消",
  "named red": "红",
  "named green": "绿",
  everything: "全部消息",
  everythingAbout: "所有人的发言、你的房间和你的私信",
  roomAbout: { other: "房间里有 {count} 人" },
  messages: "消息",
  older: "显示更早的消息",
  beginning: "聊天从这里开始。",
  nothing: "还没有人发言",
  nothingIn: "“{room}”房间里还没有人发言",
  nothingHint: "打个招呼吧。想试试两个人聊天，请在另一个标签页打开本页，换一个用户名。",
  nothingInHint: "在这里说的话，只有房间里的人看得到。",
  waiting: "尚未发出的消息",
  sending: "正在发送……",
  kept: "重新连接后发送",
  latest: "最新消息",
  newMessages: { other: "{count} 条新消息" },
  newLine: "新消息",
  message: "消息",
  write: "说点什么",
  to: "发给",
  everybody: "所有人",
  onlyTo: "只给{name}",
  notAlone: "取消私聊",
  namesOffered: "用户名",
  send: "发送",
  keys: "回车发送，Shift+回车换行，@用户名 为私聊",
  left: { other: "还可输入 {count} 字" },
  hello: "怎么称呼你？",
  introduction: "其他人会看到这个用户名。你在线时它归你使用。",
  name: "用户名",
  come: "进入聊天室",
  coming: "请稍候……",
  takeover: "在这里使用这个名字",
  second: "你正在另一个标签页里使用{name}。想在这里当第二个人，请换一个用户名。",
  takeoverOf: "改在这里使用{name}",
  moved: "聊天已转到另一个标签页",
  movedWhy: "你的用户名正在那里使用，本页已断开连接。",
  back: "在这里继续聊天",
  today: "今天",
  yesterday: "昨天",
  toYou: "私信，发给你",
  toOther: "私信，发给{name}",
  joined: "{names}加入了聊天室",
  left_: "{names}离开了聊天室",
  renamed: "{names}改名为{to}",
  entered: "{names}进入了{room}房间",
  departed: "{names}离开了{room}房间",
  and: "{names}和{last}",
  more: { other: "{names}等 {total} 人" },
  typing: "{names}正在输入……",
  typingMany: "{names}正在输入……",
  typingCrowd: "好几个人正在输入……",
  connecting: "正在连接……",
  naming: "已连接",
  connected: "已连接",
  unreachable: "服务器没有响应，正在重试……",
  lost: "连接已断开，正在重新连接……",
  recovered: "已恢复连接，没有错过任何消息。",
  caughtUp: { other: "已恢复连接，期间有 {count} 条消息。" },
  caughtUpMore: "已恢复连接，期间消息很多，向上滚动查看更早的部分。",
  caughtUpPerhaps: "已恢复连接，但暂时无法读取历史消息，可能有遗漏。",
  gone: "未连接",
  noClient: "无法加载 Socket.IO 客户端，本页不能连接。",
  left_room: "你离开了{room}房间",
  slow: { other: "你发得太快了，消息要等 {count} 秒再发出。" },
  databaseAway: { other: "暂时无法保存历史消息，{count} 条等待写入。" },
  databaseBack: "历史消息已恢复保存。",
  databaseLost: { other: "有 {count} 条消息没能存入历史；当时在线的人都已看到。" },
  "name empty": "请输入用户名。",
  "name long": "用户名最多 24 个字符。",
  "name characters": "用户名不能有换行或不可见字符，也不能以 @ 开头。",
  "name lookalike": "和在线的“{other}”看起来一样，请换一个。",
  "name taken": "已经有人在用这个名字，请换一个。",
  "name here": "你已在另一个标签页里使用这个名字。可以转到这里使用，或换一个名字。",
  "room empty": "请输入房间名。",
  "room long": "房间名最多 24 个字符。",
  "room characters": "房间名不能有换行或不可见字符。",
  "room already": "你已经在{room}房间了，请不要重复进入。",
  "room many": "一个人最多进入 20 个房间。",
  "room not in": "你并不在{room}房间。",
  "say empty": "消息不能为空。",
  "say long": "一条消息最多 2000 个字符。",
  "say offline": "你私聊的用户 {to} 不在线，消息没有发出。",
  "say yourself": "这是你自己，请换一个人私聊。",
  "say not in": "你不在{room}房间，消息没有发出。",
  "say full": "等待发送的消息太多，请稍后再发这一条。",
  silent: "服务器没有回应，请再试一次。",
  refused: "请求被拒绝（{error}）。",
};

export const LANGUAGES = { en: ENGLISH, zh: CHINESE };

/** The language of the page: "en" or "zh". */
export let language = "en";

/** @param {string | null | undefined} wanted any language tag; whatever is not Chinese is English */
export function speak(wanted) {
  language = wanted?.toLowerCase().startsWith("zh") ? "zh" : "en";
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  for (const node of document.querySelectorAll("[data-say]")) node.textContent = say(node.dataset.say);
  for (const node of document.querySelectorAll("[data-say-label]"))
    node.setAttribute("aria-label", say(node.dataset.sayLabel));
  for (const node of document.querySelectorAll("[data-say-placeholder]"))
    node.placeholder = say(node.dataset.sayPlaceholder);
}

/**
 * A text with its {values} put in; `count` chooses between one and other.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(key, values = {}) {
  let text = LANGUAGES[language][key];
  if (typeof text === "object") text = text[new Intl.PluralRules(language).select(values.count)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** What a room is called: red and green have a name in each language. */
export const roomName = (room) => (`named ${room}` in ENGLISH ? say(`named ${room}`) : room);

/** The room that is called so. */
export const roomCalled = (name) => ROOMS.find((room) => LANGUAGES[language][`named ${room}`] === name) ?? name;

const ROOMS = ["red", "green"];

/** What a refusal means, for `what` was asked: "name", "room" or "say". */
export function refusal(what, answer) {
  const key = `${what} ${answer.error}`;
  if (key in ENGLISH) return say(key, answer.room ? { ...answer, room: roomName(answer.room) } : answer);
  return answer.error === "silent" ? say("silent") : say("refused", answer);
}

/** Names in a sentence: two are named, of more the first two and how many others. */
export function listed(names) {
  const shown = names.slice(0, names.length > 3 ? 2 : 3);
  const separator = language === "zh" ? "、" : ", ";
  const others = names.length - shown.length;
  if (others > 0) return say("more", { names: shown.join(separator), count: others, total: names.length });
  if (shown.length < 2) return shown.join("");
  return say("and", { names: shown.slice(0, -1).join(separator), last: shown.at(-1) });
}

/** @param {number} at milliseconds since 1970 */
export const clock = (at) =>
  new Date(at).toLocaleTimeString(language, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

/** The day of a time, in words. */
export function day(at) {
  const date = new Date(at);
  const days = Math.round((new Date().setHours(0, 0, 0, 0) - new Date(at).setHours(0, 0, 0, 0)) / 86_400_000);
  if (days === 0) return say("today");
  if (days === 1) return say("yesterday");
  const options = { weekday: "long", day: "numeric", month: "long" };
  return date.toLocaleDateString(language, days < 300 ? options : { ...options, year: "numeric" });
}
