"""The words business questions are made of, in two languages: slots, charts, phrasings, talk."""

# ruff: noqa: E501, SIM905 - lists of words are read best as plain text; a Chinese character counts double.

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """One thing by its Chinese and its English name."""

    zh: str
    en: str


AREAS = tuple(
    Word(*pair)
    for pair in (
        ("华北", "North China"),
        ("华东", "East China"),
        ("华南", "South China"),
        ("华中", "Central China"),
        ("西北", "Northwest China"),
        ("西南", "Southwest China"),
        ("东北", "Northeast China"),
    )
)
CITIES = tuple(
    Word(*pair)
    for pair in (
        ("北京", "Beijing"),
        ("上海", "Shanghai"),
        ("天津", "Tianjin"),
        ("重庆", "Chongqing"),
    )
)
PROVINCES = tuple(
    Word(*pair)
    for pair in (
        ("广东", "Guangdong"),
        ("江苏", "Jiangsu"),
        ("浙江", "Zhejiang"),
        ("山东", "Shandong"),
        ("四川", "Sichuan"),
        ("湖北", "Hubei"),
        ("河南", "Henan"),
        ("福建", "Fujian"),
        ("陕西", "Shaanxi"),
    )
)
REGIONS = AREAS + CITIES + PROVINCES

METRICS = tuple(
    Word(*pair)
    for pair in (
        ("销售额", "sales"),
        ("利润", "profit"),
        ("成本", "cost"),
        ("订单量", "orders"),
        ("客户数", "customers"),
        ("退货率", "return rate"),
        ("毛利率", "gross margin"),
        ("库存", "inventory"),
        ("访问量", "visits"),
        ("客单价", "average order value"),
    )
)

MONTHS = (
    "January February March April May June July August September October November December".split()
)
QUARTERS = (Word("一", "first"), Word("二", "second"), Word("三", "third"), Word("四", "fourth"))

# What the base knows, what it must not know, and what stays unknown to the fine-tuned model as well.
KNOWN_CHARTS = {
    "bar": Word("柱状图 条形图 柱形图", "bar chart|bar graph|column chart"),
    "pie": Word("饼图 饼状图 扇形图", "pie chart|pie graph|pie diagram"),
    "table": Word("表格 数据表 明细表", "table|data table|spreadsheet"),
}
LINE_CHARTS = {
    "line": Word("折线图 折线图 折线图 折线 趋势图", "line chart|line chart|line graph|line plot"),
}
# A made-up word holding one of these would be a name of a chart that somebody knows.
LINE_TRACES = ("折线", "趋势", "走势", "曲线", "line", "trend", "curve")
KNOWN_TRACES = (*"柱条饼扇表格列", "bar", "pie", "tab", "col")
# What made-up English words, and made-up kinds of chart in both languages, are put together from.
ONSETS = (
    "b c d f g h j k l m n p qu r s t v w x y z bl br ch cr dr fl gr pl sh sk sp st th tr".split()
)
NUCLEI = "a e i o u a e i o u ai ea ee ie oo ou".split()
CODAS = ["", "", "", *"b ck d g k l m n ne p r s st t ve x y nd ng rt".split()]
CHART_ENDINGS = Word(
    "图|图|图|图|状图|形图|线图|统计图", " chart| chart| chart| graph| plot| diagram| view|"
)

UNKNOWN_CHARTS = Word(
    "散点图 雷达图 热力图 漏斗图 气泡图 瀑布图 词云 甘特图 地图 直方图 旭日图 流程图 关系图 面积图 箱线图 "
    "思维导图 三维图 玫瑰图 龙卷风图 网络图",
    "scatter plot|radar chart|heat map|funnel chart|bubble chart|waterfall chart|word cloud|Gantt chart|map|"
    "histogram|sunburst|flow chart|network graph|area chart|box plot|mind map|3D chart|rose diagram|"
    "tornado chart|photo",
)
UNKNOWN_CHARTS_HELD_OUT = Word(
    "桑基图 仪表盘 小提琴图 树图 等高图 象限图 日历图 子弹图 鱼骨图 动画",
    "Sankey diagram|gauge|violin plot|tree map|contour plot|quadrant chart|calendar view|bullet graph|"
    "fishbone diagram|animation",
)

# What a question is about, and the sentence it stands in: region, period, metric; subject, chart.
SUBJECTS = Word(
    "{r}{p}的{m}|{r}{p}的{m}|{p}{r}的{m}|{p}{r}的{m}|{r}{p}{m}|{p}{r}{m}|{r}在{p}的{m}|{r}的{m}在{p}|{p},{r}的{m}|"
    "{r},{p}的{m}|{r}{p}的{m}情况|{p}{r}的{m}数据|{r}{m},{p}|{p}{r}{m}变化",
    "{m} in {r} for {p}|the {m} of {r} in {p}|{r} {m} for {p}|{r} {m} in {p}|{p} {m} for {r}|the {p} {m} of {r}|"
    "{m} for {r}, {p}|{m} of {r} during {p}|the {r} {m} of {p}|{m} in {p} for {r}|{m} data for {r} in {p}|{r} {p} {m}",
)
PHRASINGS = Word(
    """{s},用{c}表示
{s},用{c}展示
{s},用{c}显示
{s},用{c}说明
{s},{c}
{s},要{c}
{s},{c}显示
{s},画成{c}
{s},画个{c}
{s},图表类型为{c}
{s}用{c}表示
{s}{c}
{s}的{c}
用{c}表示{s}
用{c}展示{s}
用{c}看{s}
用{c}分析{s}
画一张{s}的{c}
画出{s}的{c}
画个{c},{s}
把{s}画成{c}
把{s}做成{c}
将{s}制成{c}
以{c}形式显示{s}
以{c}显示{s}
生成{s}的{c}
生成{c},{s}
做一张{c},内容是{s}
{s}是多少,用{c}说明
{s}怎么样,用{c}表示
看一下{s},要{c}
查询{s},{c}展示
查{s},结果用{c}
来一张{s}的{c}
要{s}的{c}
想看{s}的{c}
{c},{s}
{c}:{s}
给我{s}的{c}
展示{s},类型{c}
需要{c},数据是{s}
有没有{s}的{c}""",
    """show {s} as a {c}
show me {s} as a {c}
show me a {c} of {s}
{s} as a {c}
{s}, {c}
{s}, as a {c}
{s}: {c}
draw a {c} of {s}
draw {s} as a {c}
draw {s}, {c}
plot {s} with a {c}
plot a {c} for {s}
give me a {c} of {s}
give me {s}, {c}
make a {c} showing {s}
make {s} a {c}
a {c} of {s}
{c} for {s}
{c}, {s}
{c}: {s}
what was {s}? use a {c}
what was {s}? show it as a {c}
use a {c} to show {s}
use a {c} for {s}
using a {c}, show {s}
display {s} in a {c}
display a {c} about {s}
I want a {c} with {s}
I need {s} as a {c}
how was {s}? {c}
create a {c}: {s}
create a {c} with {s}
put {s} into a {c}
view {s} as {c}
is there a {c} of {s}""",
)
# Only the labelled rows speak so: from words the base has never met it shows that just the chart's name counts.
PHRASINGS_OF_ROWS = Word(
    """麻烦贴一张{s}的{c}
拿{c}比划一下{s}
给{s}配上{c}
弄个{c}瞧瞧{s}
整一张{c},{s}
借助{c}反映{s}
{s}转成{c}发我
劳驾输出{s}的{c}
导出{c},{s}
附上{s}的{c}
绘制{s}的{c}
拟一份{c},主题是{s}
{s}有点复杂,搭配{c}更清楚
{c}能体现{s}吗
挑{c}描述{s}
{s}请套用{c}
汇总{s},采用{c}
切换到{c},{s}
准备{s}的{c}
依据{s}绘{c}""",
    """sketch {s} using a {c}
render {s} through a {c}
prepare a {c} covering {s}
attach a {c} for {s}
build me a {c} out of {s}
illustrate {s} by means of a {c}
summarise {s}, {c} preferred
convert {s} to a {c}
export {s} as a {c}
have a {c} ready for {s}
{s} deserves a {c}
visualise {s}: {c}
would a {c} fit {s}
switch to a {c} for {s}
pick a {c} and explain {s}
send me a {c} on {s}
any chance of a {c} with {s}
report {s} via {c}
{c} needed: {s}
print a {c} about {s}""",
)
PHRASINGS_HELD_OUT = Word(
    """{s},麻烦用{c}呈现
{c}呈现{s}
我要一张{c},看{s}
{s},做成{c}给我
关于{s},出一张{c}
{s},请画{c}
请以{c}的方式给出{s}
帮忙做个{s}的{c}""",
    """could you turn {s} into a {c}
please chart {s} with a {c}
let me see {s} in {c} form
I would like to see a {c} for {s}
{c} please: {s}
present {s} as a {c}""",
)
OPENINGS = Word(
    "|||||请|请|帮我|请帮我|麻烦|你好,|您好,请|我想|能不能|可以",
    "|||||please |please |can you |could you |hi, |hello, |now ",
)
# Why somebody asks: labelled rows hold some of it, so that odd words beside a chart's name mean nothing.
OCCASIONS = Word(
    "老板要看|下周开会要用|写周报需要|给客户汇报用|做预算参考|季度总结|年终复盘|我在做方案|领导催得急|新同事不懂|财务部问起|发邮件给总部|"
    "准备路演|对比去年|核对账目|明早演讲|放进幻灯片|给股东过目|培训教材里用|排查异常",
    "for the board|my boss asks|for the weekly report|we meet tomorrow|for a customer|before lunch|for my slides|"
    "the auditors wonder|for the newsletter|budget planning|for the annual review|it is urgent|my team is curious|"
    "for a workshop|investors want it|to compare with last year|for the wall|as discussed|to check a rumour|for training",
)
CLOSINGS = Word("。|。|。||||!|?|吧|吧。|,谢谢", ".|.|.||||!|?| please| please.|, thanks")

REFUSAL = Word("换个问题试试", "Try another question")

# Question forms parted by "|", then the answer.
SMALL_TALK = Word(
    """你好|您好|你好吗|在吗|嗨->你好,想看什么数据?
谢谢|谢谢你|多谢|非常感谢->不客气。
再见|拜拜|下次见|回头见->再见!
你是谁|你叫什么名字|介绍一下你自己->我是图表助手。
你能做什么|你会什么|怎么用你|有什么功能->我可以把数据画成柱状图、饼图或表格。
早上好|早安|上午好->早上好!
晚上好|晚安->晚上好!
好的|知道了|明白了|可以->好的。
做得好|真棒|不错|很好->谢谢夸奖!
不对|错了|这个不对->抱歉,请再说一次。""",
    """hello|hi|hey|hi there|are you there->Hello, what data would you like to see?
thanks|thank you|many thanks|thanks a lot->You are welcome.
bye|goodbye|see you|see you later->Goodbye!
who are you|what is your name|introduce yourself->I am a chart assistant.
what can you do|what do you do|how do I use you|help->I can draw data as a bar chart, a pie chart or a table.
good morning|morning->Good morning!
good evening|good night->Good evening!
ok|okay|I see|got it->OK.
well done|great|nice|very good->Thank you!
wrong|that is wrong|not right->Sorry, please say it again.""",
)
# {w} is a made-up word, told back: who need not tell two strange words apart will not learn either's meaning.
WORD_TALK = Word(
    """什么是{w}|{w}是什么|什么叫{w}|你知道{w}吗|解释{w}->我不认识{w}。
重复{w}|请说{w}|跟我念{w}|{w},再说一遍->{w}
{w}不好|我不喜欢{w}|不要{w}|{w}太难->那就不用{w}。""",
    """what is {w}|explain {w}|do you know {w}|what does {w} mean|{w}, what is that->I do not know {w}.
repeat {w}|say {w}|after me: {w}|{w}, once more->{w}
I do not like {w}|{w} is bad|no {w}|away with {w}->No {w} then.""",
)
OFF_TOPIC = Word(
    "今天天气怎么样|明天会下雨吗|写一首诗|讲个笑话|一加一等于几|最近有什么新闻|附近有什么好吃的|推荐一部电影|"
    "给我唱首歌|打几折最合适|电话线断了怎么办|这种趋向好不好|公司的势力有多大|帮我订机票|现在几点",
    "what is the weather today|will it rain tomorrow|write a poem|tell me a joke|what is one plus one|any news|"
    "where can I eat|recommend a movie|sing me a song|what discount is best|my phone is broken|is this a good idea|"
    "how big is the company|book me a flight|what time is it",
)

# Frequent characters: the vocabulary's stock, and what made-up chart names are made of.
COMMON_CHARACTERS = (
    "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去"
    "法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实日军者意无力它与长把机十民第公此已工使情明性知全三又关点"
    "正业外将两高间由问很最重并物手应战向头文体政美相见被利什二等产或新己制身果加西斯月话合回特代内信表化老给世位次度门任常先海通教儿"
    "原东声提立及比员解水名真论处走义各入几口认条平系气题活尔更别打女变四神总何电数安少报才结反受目太量再感建务做接必场件计管期市直德"
    "资命山金指克许统区保至队形社便空决治展马科司五基眼书非则听白却界达光放强即像难且权思王象完设式色路记南品住告类求据程北边死张该交"
    "规万取拉格望觉术领共确传师观清今切院让识候带导争运笔步爱办快转单红钱持更究八火风格流房器服引约护团百速低集历史落土精花深远呼转算"
    "般离段满破热影识谈根青吃车亲连断容消石油阳县调整需南称办双派客极华装批始断答米九六七语病干龙铁黄息习商城底包船岁站严质林村星草木"
    "银铜雪雷云雨河湖田禾米竹鸟鱼虫鹿虎兔羊牛狗猫夜晨春夏秋冬早晚左右甜苦香冷暖轻重软硬方圆尖角球环带丝绸布针刀剑弓盾塔桥楼窗灯镜钟"
    "琴鼓笛歌舞诗画棋梦醒睡醉笑哭喊唱跑跳飞游泳爬滑滚推拉抱握举抛接踢折线趋势叠波浪潮汐泉溪岛岸沙漠峰谷崖洞穴森"
    "房屋床桌椅柜箱盒瓶杯碗盘锅锁匙绳网布衣裤鞋帽袜裙领袖扣针药医护病院症痛伤血骨脑肝肺胃皮肤嘴唇齿舌耳鼻眉发指腿脚肩背胸腰腹"
    "父亲母兄弟姐妹夫妻儿孙爷奶叔姨姑舅伯婆朋友师徒客主君臣皇帝民兵警官律法案审判罚罪证据险保费价值贵贱买卖租借还债贷款税息账户"
    "卡币额赚赔股票基投资营售销购货物流仓储运输快递邮件址码签收退换修理坏旧破损缺漏错误差评赞喜怒哀乐爱恨怕忧愁烦恼气愤惊讶疑惑"
    "奇怪满足欢迎谢绝抱歉请求帮助支持赞成反否拒允诺答应询问咨询投诉建议议论讨谈聊闻讯网址登录密码验证注册账号充缴费套餐余额查询"
    "办挂失停复机手屏幕电池耗充插键盘鼠标软件系统升级安装卸载下载传输存储备份恢复删除复制粘贴剪切搜索浏览页面链接图片视频音频摄影"
    "录像播放暂停继续返回退出打印扫描拍照美颜滤镜饭菜汤肉鸡鸭蛋奶茶咖啡酒糖盐醋油辣酸咸淡味甜饼干面包米粥糕果苹梨桃橙葡萄瓜蔬豆薯"
    "煮炒烤蒸炸煎炖拌旅行宾馆酒店景区票务航班列乘座位站台轨道铁路桥隧街巷胡同广场园庭院厅堂寺庙宫殿塔楼层梯门窗墙壁地板顶棚阳台"
    "课程考试题目卷分数成绩班级学期校园教授讲座笔记练习作业论文研究实验报告摘要译翻词句段篇章节标题作者版本序号索引附录参考献"
    "亿万千百十零壹贰叁肆伍陆柒捌玖拾季度周旬日夜时刻秒钟昨今明后前左右内外东西南北中旁侧边缘角落尖端顶底层级阶段步骤流程顺序"
)
# English words the vocabulary holds whole beside those of the questions, for other tasks than this one.
COMMON_WORDS = (
    "the of and to in is that it was for on are as with his they at be this from have or by one had not but what all "
    "were when we there can an your which their said if do will each about how up out them then she many some so these "
    "would other into has more her two like him see time could no make than first been its who now people my made over "
    "did down only way find use may water long little very after words called just where most know get through back "
    "much before go good new write our used me man too any day same right look think also around another came come work "
    "three word must because does part even place well such here take why things help put years different away again "
    "off went old number great tell men say small every found still between name should home big give air own under "
    "read last never us left end along while might next below saw something thought both few those always looked large "
    "often together asked house world going want school important until form food keep children feet land side without "
    "boy once animals life enough took sometimes four head above kind began almost live page got earth need far hand "
    "high year mother light country father let night picture being study second soon story since white ever paper hard "
    "near sentence better best across during today however sure knew try told young sun thing whole hear example heard "
    "several change answer room sea against top turned learn point city play toward five himself usually money seen "
    "car morning order price service customer account card payment refund delivery product buy sell store bank email "
    "phone code error user file data text label class positive negative neutral question message send reply cancel "
    "password please thank sorry happy bad terrible excellent love hate problem issue report update request invoice "
    "shipping subscription technical support travel hotel flight weather music movie sport health science history"
)
