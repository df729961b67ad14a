//! Chinese names: a surname, one or two characters that people use for given names, and something near that says so.
//!
//! A surname character alone proves nothing (高兴, 金额, 方式); so a candidate counts by what stands around it: a label
//! (姓名：), an introduction (我叫), a verb that takes a person (给…转账), a title, an identity number right after.

use std::collections::HashSet;
use std::ops::Range;

use crate::entity::{EntityType, Finding};

/// Surnames by frequency (Ministry of Public Security, national name reports) and the rest of 百家姓 in use.
const SURNAMES: &str = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪\
    范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦\
    俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑\
    景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖巩明佘池查麻苑迟邝官封谈匡鞠惠荆乐冀郁胥南班储原栗燕楚鄢劳谌奚\
    皮粟冼蔺楼盘满闻位厉伊仝区郜海阚花权强帅屠豆朴盖练廉禹井祖漆巴丰支卿国狄平计索宣晋相初门云容敬来扈晁芮都普阙浦戈伏鹿薄邸雍辜羊阿乌母裘亓修邰赫杭况那\
    宿鲜印逯隆茹诺战慕危玉银亢嵇公哈湛宾戎勾茅利于呼居揭干但尉冶斯元束檀衣信展阴昝智幸奉植衡富尧闭由";

const COMPOUND: &str = "欧阳 上官 司马 诸葛 东方 皇甫 尉迟 公孙 慕容 令狐 司徒 夏侯 长孙 宇文 端木 南宫 独孤 轩辕 钟离 闻人 万俟 澹台 百里 呼延 申屠 \
    太史 淳于 单于 濮阳 公冶 宗政 赫连 鲜于 闾丘 司空 西门 东郭 南门 左丘 公羊 第五 拓跋 完颜 纳兰 叶赫 爱新觉罗 耶律";

/// Characters that given names are made of.
const GIVEN: &str = "伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂文辉力华建国红梅玲玉萍飞鹏春燕雪琳晨晓浩宇轩子涵梓欣怡诺依晴雨嘉佳思颖慧琪瑶婷倩\
    莉璐珊蕾菲薇蓉茜莹雯楠琴琼瑾瑜璇珍珠翠凤菊竹松柏林森枫桐楷栋梁斌彬武毅俊峰岩山川海江河波浪清源泉洁冰霜露云龙虎鹤鸿雁志成功德仁义礼智信忠孝诚厚善良\
    康健安宁福禄寿喜乐祥瑞庆荣昌盛隆兴旺富贵财宝金银铜铁钢鑫锋锐钧铭锦镇永恒久长远达通顺利胜克凯旋振奋发展腾翔翼羽天宏洪鸣亮光耀灿烂炎焱煜熙曦昊旭昕晖\
    晗晟景昱暄朗月星辰宸泽润淳浚涵沐汐沛淇渊潇瀚灏溪澜漫雅韵诗词书画琰琦珂玮珺瑞璟瑛琛玥瑄艺芸芝芷若萱萌蓓蕊苒茵菁荷莲莎蔓一二三正中元启初新立方圆\
    承继绍传世家邦民生广庭廷君臣伯仲叔季少年长卿之以乃亦其然可奕弈亚东西南北向阳阴冬秋夏佩仪容美媛嫣娇妍姝婉婕婵嫦妮妙姗姣娅媚贞淑惠贤爱心情意念怀恩惜\
    悦愉忻恬悠惟慎学博识知问才能干伦理宪法政权衡冠群众树根苗青白素丹彤朱紫蓝翰墨轩榕桦梦绮纯纶维纲绪绩缘绵齐均培基坤城垒尧舜禹汤周秦楚晋齐鲁燕赵韩魏宋\
    唐吴越卫蒙程逸豪迈进连运遥道远钊钰钦铮锴麟骏驰骁鲲鹭鸥莺鹃珏琨昀昶晏昆易曼朝望霖霄霏震雷雄奎魁硕皓皎睿哲翊翌翰耘聪育胤臻舟航艇若苓茂荃莘蔚薪藝言\
    训诚谊谦谨谷豫贝赫超跃路轶辙达迅迪逊邈郁野锡闻阔际陆雍非音页颂顶顺颜飒骞高魏鲁黎默齐丞中为予令任优会侠俏俐倚偲儒兆先全公兵冉军农准凌凡列刚则\
    创加劲勃勤化十千升午华卓南博占卫印厉友双发召吉同名含启周咏品哲唯唱善喆嘉四国圣均垚城士壮声夏多大天太夫奇好如妹姿娣娥婧媛子孔存宁守定宛宜实宣宾密富\
    寒寿小尚居山岚岭岳峥崇嵩工左巧师希帅帆常平幸幼广应府延开弘张彦彩影征律微徐德心必思恺悟愿成战扬承抒拓振捷授揚敬敦文斐斯无日旦时明映昭是显晋景暖曙更\
    有来杉束杨枝柔柯柳栩格桃棠森楚榆樱欢歌正步毓比民水汉池汝沁沅沙泓波泰津洛洲流浦浩海润淼渝湘源滢滨澄激火炜炳烁烈烨焕然煊照熠燕爽牧特独玄王玟珈现班\
    理琬琳瑗瑜璞瓊甜用田申男留略皆益真知石研确社祎祖祺禹秉科程稳穗空笑笛筠筱简粤精素红纪纳练细绍经绣统美群翠耀聖肖胡舒航良艳芃芊芬芮花苏英茗草荔荣莫菀\
    菡萧蒙蓝薛虹行衍裕西观言记许诗语课谷豆贺起越辉辰迎述通造那邦郎郡郭里重野鉴钟长门间阁阿雁雨静韦韬韶顾飏馨香骥高黛龙";

/// Words that begin like a name and are none, and words a name is not cut out of.
const NOT_NAMES: &str = "封存 封面 商会 公信 国库 盖有 修理 银行 银联 继承 应当 但法 时通 时更 时报 时提 和号 和时 和住 和继 和其 和本 和有 和相 高兴 高度 高级 高额 高于 高峰 高速 高校 高新 高温 高端 高管 高铁 金额 金融 金钱 金属 金卡 金色 方式 方法 方面 方向 方案 方便 方可 \
    方针 周期 周末 周一 周二 周三 周四 周五 周六 周日 周年 周转 周边 周围 于是 于此 任何 任意 任务 任职 任期 任命 白天 白色 白银 黄金 黄色 时间 时候 时效 时期 \
    安全 安排 安装 安置 安徽 平台 平安 平均 平等 平时 平方 成功 成本 成立 成员 成为 成都 成年 成人 程序 程度 江苏 江西 关于 关系 关联 关注 关闭 向上 向其 应当 \
    应该 应付 应收 包括 包含 包装 包容 管部 管机 简化 解任 晋升 揭露 国歌 经济 计算 计息 计划 计入 计提 明确 明细 明天 明年 明显 明示 和解 和平 全部 全国 全面 全额 全体 单位 单元 单号 单独 单据 单一 \
    余额 余款 许可 许多 谢谢 谢您 易于 路线 路由 路径 连续 连接 连带 党员 项目 项下 曾经 温度 温馨 解除 解释 解决 解约 管理 管辖 段落 雷同 龙头 石油 石化 万元 \
    万一 万分 康复 毛利 史上 严重 严格 严禁 武汉 武器 何时 何种 何人 施行 施工 郑州 陈述 陈列 卫生 卫星 沈阳 韩国 尤其 相关 相应 相同 相当 相互 文件 文化 文明 \
    文字 文本 文书 华夏 华东 华为 中华 国家 国务 国际 国内 国有 国债 国民 公司 公开 公告 公民 公共 公示 公章 公安 公平 公正 公布 公积 信用 信息 信托 信贷 \
    利率 利息 利润 利益 利用 支付 支行 支持 支取 支出 支票 申请 申报 申诉 申购 申领 申明 东方 南方 北方 西方 区域 区别 原因 原则 原件 原告 农业 农村 农民 农商 \
    车辆 车险 车牌 车主 房屋 房产 房东 房贷 游客 商业 商品 商户 商家 商务 师傅 官方 官网 权利 权益 权限 强制 强调 海关 海外 海南 海南省 盖章 满足 满期 满意 \
    位于 位置 来源 来电 来自 来信 都是 都有 都会 都不 都可 那么 那个 那些 那笔 那张 干预 但是 但不 由于 由此 由其 智能 智慧 奉献 富裕 居民 居住 居留 元旦 \
    隆重 门店 门诊 门户 普通 普惠 云南 云计 封闭 查询 查看 查验 查封 查明 查实 宣传 宣布 索赔 索取 初次 初步 初审 支配 丰富 满额 练习 修改 修订 修复 祖国 \
    牛市 马上 贺卡 钱款 钱包 费用 费率 费率表 冷静 冷冻 席位 顾客 顾问 夏天 秋天 冬天 春天 贾府 鲁迅 山东 广东 阳光 阳性 古代 吉林 司法 司机 简单 简称 简易 \
    荣誉 商标 商铺 盛大 曲线 柜台 毕业 毕竟 童年 梅花 季度 季节 纪律 纪念 符合 舒适 尚未 尚可 宁波 宁夏 包头 祝您 祝贺 甘肃 左右 左侧 欧元 欧洲 欧盟 章程 章节 \
    庄重 严肃 倪萍 樊篱 齐全 易受 乔迁 安心 安居 毛巾 郝然 陶瓷 龙江 侯补 段时 雷电 薛定 尹始 江南 江北 邱陵 秦岭 熊猫 熊市 孟买 邹城 付款 付费 付清 付息 \
    付出 付给 方某 王某 李某 张某 刘某 陈某 杨某 赵某 某某 石家 夏季 金华 廖廖 范围 范本 范例 汪洋 陆续 陆军 谭谈 钟头 钟表 崔促 姜汤 卢布 姚明星 沈没 任一 丁字 \
    吕梁 魏晋 苏州 叶子 杜绝 蔡司 蒋介 余下 余地 潘多 袁大 董事 田地 肖像 曾用 彭博 邓小 冯小 韩元 许诺 唐山 宋体 谢绝 梁柱 郑重 罗列 罗马 林业 林地 林木 \
    何况 郭外 胡乱 胡同 朱红 马路 马来 孙子 孙女 徐州 徐徐 周密 周到 周全 吴江 赵国 黄山 黄河 杨树 陈旧 陈年 刘海 张家 张贴 李子 王国 王牌 王府 高三 高中 高考 \
    于其 于今 时常 时刻 时段 时限 时任 时代 全程 全年 全球 全文 全职 全责 全权 全款 全新 全天 乐于 乐意 和谐 和睦 明文 明知 明白 平日 平行 平常 边境 边界 应急 应予 应有 应税 \
    应用 应对 应届 计量 计价 计收 国籍 国外 国库 国产 公证 公式 公众 公务 公益 公路 公里 公元 公约 公允 信任 信函 信誉 信号 利害 利民 支撑 支队 申办 申述 商议 商定 商量 权威 \
    权属 权重 来往 来访 来源于 位数 元月 云端 强行 强化 强度 强烈 满分 满期金 门槛 车位 车船 车型 车价 车费 房价 房租 费用率 查处 查阅 查清 查找 查证 管控 管委 管道 管护";

/// What may follow a two-character name and is not its third character.
const FOLLOW: &str = "的 了 在 于 和 与 及 是 说 把 被 给 从 向 对 将 已 因 等 同 也 都 还 就 又 再 曾 并 或 为 来 去 有 没 不 要 想 转 汇 打 收 付 办 申 投 反 表 称 \
    今 明天 明日 昨 先生 女士 小姐 老师 经理 总 同志 账 帐 名 本人 身份 手机 电话 卡 号 这 那 你 您 我 他 她 一起 之间 先 可 能 会 应 需 请 让 叫 代 替 做 开 签 存 取 用 到 \
    上月 下月 上周 下周 上个 下个 两 三人 二人 夫妇 夫妻 一家 父 母 妻 丈 儿 女 家 与";

/// Function words that no given name of two characters ends in.
const NEVER_LAST: &str = "是的了在于及把被给从向对已因也都还就又再并或没不要说称这那你您我他她须";

/// Endings of what is no person: 张江公司, 王府井店.
const NOT_FOLLOWED: &[&str] = &[
    "市", "省", "县", "区", "镇", "村", "路", "街", "公司", "银行", "集团", "大学", "医院", "条例", "办法", "法", "店",
    "厂",
];

const LABELS: &[&str] = &[
    "姓名",
    "户名",
    "收款人",
    "付款人",
    "投保人",
    "被保险人",
    "受益人",
    "联系人",
    "申请人",
    "投诉人",
    "持卡人",
    "借款人",
    "客户",
    "经办人",
    "客户姓名",
    "开户名",
    "开户人",
    "账户名",
    "收件人",
    "寄件人",
    "担保人",
    "保证人",
    "被告",
    "原告",
    "被申请人",
    "法定代表人",
    "法人",
    "负责人",
    "患者",
    "用户",
    "报案人",
    "委托人",
    "代理人",
    "紧急联系人",
    "业主",
    "车主",
    "房东",
    "租客",
    "签字",
    "签名",
    "乙方",
    "甲方",
    "汇款人",
    "转账人",
    "持有人",
    "出借人",
    "配偶",
    "监护人",
    "名字",
    "投资人",
    "驾驶人",
    "当事人",
    "证人",
    "name",
];

/// Introductions after which a name stands at once.
const INTRODUCTIONS: &[&str] = &[
    "我叫",
    "名叫",
    "叫做",
    "我是",
    "本人",
    "名字是",
    "名字叫",
    "姓名是",
    "姓名为",
    "户名是",
    "户名为",
    "他叫",
    "她叫",
    "人叫",
    "字叫",
    "改名",
    "署名",
    "名为",
    "我爱人",
    "我妻子",
    "我丈夫",
    "我老公",
    "我老婆",
    "我父亲",
    "我母亲",
    "我爸",
    "我妈",
    "我儿子",
    "我女儿",
    "我哥",
    "我姐",
    "我弟",
    "我妹",
    "我朋友",
    "我同事",
    "朋友",
    "同事",
    "同学",
    "邻居",
    "客户",
    "用户",
    "先生",
    "女士",
    "经理",
    "收款人",
    "投保人",
    "被保险人",
    "受益人",
    "联系人",
    "申请人",
    "持卡人",
    "借款人",
    "担保人",
    "车主",
    "户主",
    "儿子",
    "女儿",
    "父亲",
    "母亲",
    "妻子",
    "丈夫",
    "爱人",
    "老公",
    "老婆",
    "亲戚",
    "房东",
];

/// What a person is in a file or a case; a name may stand right after, as after an introduction.
const ROLES: &[&str] = &[
    "代表人",
    "代理人",
    "负责人",
    "经办人",
    "报案人",
    "委托人",
    "受托人",
    "监护人",
    "被保人",
    "投诉人",
    "举报人",
    "报警人",
    "保证人",
    "抵押人",
    "出质人",
    "出借人",
    "贷款人",
    "付款人",
    "汇款人",
    "寄件人",
    "收件人",
    "收货人",
    "发货人",
    "领款人",
    "继承人",
    "证人",
    "当事人",
    "嫌疑人",
    "被告人",
    "被害人",
    "受害人",
    "伤者",
    "死者",
    "逝者",
    "原告",
    "被告",
    "上诉人",
    "法官",
    "检察官",
    "书记员",
    "审判长",
    "审判员",
    "律师",
    "医生",
    "护士",
    "患者",
    "病人",
    "家属",
    "配偶",
    "爱人",
    "旅客",
    "乘客",
    "顾客",
    "业主",
    "租客",
    "租户",
    "房客",
    "住户",
    "司机",
    "驾驶员",
    "驾驶人",
    "乘车人",
    "行人",
    "骑手",
    "快递员",
    "业务员",
    "柜员",
    "专员",
    "客服",
    "坐席",
    "员工",
    "职员",
    "雇员",
    "同事",
    "主管",
    "主任",
    "总监",
    "董事长",
    "董事",
    "监事",
    "股东",
    "合伙人",
    "行长",
    "科长",
    "处长",
    "局长",
    "校长",
    "教授",
    "班主任",
    "老师",
    "学生",
    "学员",
    "会员",
    "买家",
    "卖家",
    "店主",
    "老板",
    "签收人",
    "签署人",
    "授权人",
    "被授权人",
    "申办人",
    "办理人",
    "开户人",
    "持有人",
    "持卡人",
    "联系人为",
    "联系人是",
    "对方为",
    "授权",
    "转告",
    "收款方",
    "付款方",
    "甲方",
    "乙方",
    "丙方",
];

/// Words that take a person, weaker than an introduction: a verb or a name's end must agree.
const TAKERS: &[&str] = &[
    "给", "替", "帮", "把", "被", "和", "跟", "与", "向", "找", "由", "让", "叫", "请", "是", "为", "对", "同", "及",
    "、", "问", "告诉", "通知", "联系", "汇给", "转给", "寄给", "还给", "比", "像",
];

/// Words right after a name that only a person takes.
const PERSON_AFTER: &[&str] = &[
    "先生",
    "女士",
    "小姐",
    "老师",
    "同志",
    "医生",
    "律师",
    "经理",
    "转账",
    "汇款",
    "打款",
    "转了",
    "来电",
    "致电",
    "打电话",
    "的身份证",
    "的手机",
    "的电话",
    "的贷款",
    "的账户",
    "的账号",
    "的卡",
    "的银行卡",
    "的保单",
    "的名字",
    "的名下",
    "名下",
    "（身份证",
    "（证件",
    "(身份证",
    "（男",
    "（女",
    "(男",
    "(女",
    "，男",
    "，女",
    "本人",
    "的征信",
    "的信用",
    "的护照",
    "的住址",
    "的地址",
    "的资料",
    "的信息",
    "的邮箱",
    "称",
    "说",
    "表示",
    "反映",
    "投诉",
    "申请",
    "提出",
    "办理",
    "购买",
    "签订",
    "签署",
    "借款",
    "欠",
    "还款",
    "的工资",
    "的社保",
    "的理赔",
    "的车",
    "的儿子",
    "的女儿",
    "的妻子",
    "的丈夫",
    "的父亲",
    "的母亲",
    "，身份证",
    "，手机",
    "，电话",
    "，证件",
    ",身份证",
    "，联系",
    "，住",
    "；身份证",
    "；手机",
    "；证件",
    "；电话",
    "；联系",
    "之配偶",
    "之父",
    "之母",
    "之子",
    "之女",
    "代为",
    "，汉族",
    "、男",
    "、女",
    "身份证",
    "证件号",
    "手机号",
    "出生",
    "生于",
    "去世",
    "病故",
    "已婚",
    "未婚",
];

/// What a name gains from a name right beside it.
const IN_A_ROW: f32 = 0.15;

/// Finds names written in Chinese.
pub(crate) struct ChineseNames {
    surnames: HashSet<char>,
    compound: Vec<&'static str>,
    given: HashSet<char>,
    not_names: HashSet<&'static str>,
    follow: Vec<&'static str>,
}

impl ChineseNames {
    pub(crate) fn new() -> Self {
        Self {
            surnames: SURNAMES.chars().filter(|c| !c.is_whitespace()).collect(),
            compound: COMPOUND.split_whitespace().collect(),
            given: GIVEN.chars().filter(|c| !c.is_whitespace()).collect(),
            not_names: NOT_NAMES.split_whitespace().collect(),
            follow: FOLLOW.split_whitespace().collect(),
        }
    }

    /// Every Chinese name of a folded text.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Finding>) {
        let first = found.len();
        let mut at = 0;
        while at < text.len() {
            let c = text[at..].chars().next().unwrap_or('\0');
            let step = c.len_utf8();
            let surname = self.surnames.contains(&c)
                || step == 3 && self.compound.iter().any(|name| text[at..].starts_with(name));
            if surname && let Some(finding) = self.name_at(text, at) {
                at = finding.range.end;
                found.push(finding);
                continue;
            }
            at += step;
        }
        // 张伟和李静, 王芳、李强: names that stand in a row speak for each other.
        let mut names: Vec<&mut Finding> = found[first..].iter_mut().collect();
        for n in 1..names.len() {
            let between = text.get(names[n - 1].range.end..names[n].range.start).unwrap_or_default();
            if ["、", "和", "与", "及", " "].contains(&between) {
                for name in &mut names[n - 1..=n] {
                    name.score = (name.score + IN_A_ROW).min(1.0);
                }
            }
        }
    }

    fn name_at(&self, text: &str, at: usize) -> Option<Finding> {
        let rest = &text[at..];
        let before = &text[..at];
        let cue = Cue::before(before);
        let surname = self.compound.iter().find(|name| rest.starts_with(**name)).map(|name| name.len());
        let is_compound = surname.is_some();
        let surname = surname.unwrap_or(3);
        let ends: Vec<usize> = rest
            .char_indices()
            .skip(surname / 3)
            .take(2)
            .take_while(|(_, c)| is_han(*c))
            .map(|(at, c)| at + c.len_utf8())
            .collect();
        // A spaced two-character name (王 芳), as forms print it.
        if ends.is_empty() {
            return (cue == Cue::Label).then(|| self.spaced(rest, at, surname)).flatten();
        }
        if !is_compound && rest.get(..6).is_some_and(|word| self.not_names.contains(word)) && cue < Cue::Label {
            return None;
        }
        // 共和国法律, 对方时: the surname is the end of a word.
        if before.ends_with("共和") || before.ends_with('对') && rest.starts_with('方') {
            return None;
        }
        // A conjunction is a surname only where a label says that a name follows.
        if rest.starts_with(['和', '时', '但', '于', '都', '那', '应', '由', '向']) && cue < Cue::Label {
            return None;
        }
        let mut best: Option<Finding> = None;
        for &end in ends.iter().rev() {
            let Some(score) = self.score(text, at, at + surname..at + end, cue, is_compound) else { continue };
            if best.as_ref().is_none_or(|best| score > best.score) {
                best = Some(Finding::new(EntityType::Person, at..at + end, score));
            }
        }
        best.filter(|best| best.score >= 0.3)
    }

    fn spaced(&self, rest: &str, at: usize, surname: usize) -> Option<Finding> {
        let given = rest.get(surname..)?.strip_prefix(' ')?.trim_start_matches(' ');
        let c = given.chars().next().filter(|c| self.given.contains(c))?;
        let end = rest.len() - given.len() + c.len_utf8();
        let closed = rest[end..].chars().next().is_none_or(|c| !is_han(c));
        closed.then(|| Finding::new(EntityType::Person, at..at + end, 0.7))
    }

    fn score(&self, text: &str, start: usize, given: Range<usize>, cue: Cue, is_compound: bool) -> Option<f32> {
        let after = &text[given.end..];
        let characters: Vec<char> = text[given.clone()].chars().collect();
        let usual = characters.iter().filter(|c| self.given.contains(c)).count();
        let closed = after.chars().next().is_none_or(|c| !is_han(c));
        let person_after = PERSON_AFTER.iter().any(|word| after.starts_with(word));
        let follows = person_after || self.follow.iter().any(|word| after.starts_with(word));
        let unusual = usual < characters.len();
        if NOT_FOLLOWED.iter().any(|word| after.starts_with(word)) || characters.contains(&'某') {
            return None;
        }
        // 王经理, 李先生: a surname and a title are no name.
        let title = |text: &str| {
            ["先生", "女士", "小姐", "老师", "经理", "医生", "律师", "总监", "主任", "师傅", "阿姨", "大哥", "叔叔"]
                .iter()
                .any(|title| text.starts_with(title))
        };
        if title(&text[given.start..]) || characters.len() == 2 && title(&text[given.start + 3..]) {
            return None;
        }
        // 李静|是: no given name ends so.
        if characters.last().is_some_and(|c| NEVER_LAST.contains(*c)) {
            return None;
        }
        // The last character begins a word that follows names: 张伟|转账.
        let last = given.end - 3;
        let splits = characters.len() == 2
            && (PERSON_AFTER.iter().any(|word| text[last..].starts_with(word))
                || self.follow.iter().any(|word| word.len() > 3 && text[last..].starts_with(word)));
        if splits {
            return None;
        }
        let whole = &text[start..given.end];
        if self.not_names.iter().any(|word| word.len() == 6 && whole.len() > 6 && whole.ends_with(word)) && !closed {
            return None;
        }
        if unusual && (cue < Cue::Introduction || !(closed || person_after)) {
            return None;
        }
        let mut score: f32 = match cue {
            Cue::Label => 0.7,
            Cue::Introduction => 0.6,
            Cue::Taker => 0.3,
            Cue::Edge => 0.25,
            Cue::None => 0.1,
        };
        // A full name with a courtesy title is a person wherever it stands.
        let courtesy = ["先生", "女士", "小姐", "同志"].iter().any(|word| after.starts_with(word));
        score += if courtesy && !unusual {
            0.45
        } else if person_after {
            0.3
        } else if closed {
            0.2
        } else if follows {
            0.1
        } else {
            -0.25
        };
        score += if is_compound { 0.15 } else { 0.0 };
        score += if characters.len() == 2 && !unusual && closed { 0.05 } else { 0.0 };
        score -= if unusual { 0.25 } else { 0.0 };
        Some(score)
    }
}

fn is_han(c: char) -> bool {
    ('\u{4E00}'..='\u{9FFF}').contains(&c)
}

/// What stands right before a candidate, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cue {
    None,
    Edge,
    Taker,
    Introduction,
    Label,
}

impl Cue {
    fn before(before: &str) -> Self {
        let trimmed = before.trim_end_matches([' ', '\t', '"', '“', '「', '\'', '*']);
        if let Some(label) = trimmed.strip_suffix([':', '：', '=', '|']) {
            let label = label.trim_end_matches([' ', '"', '\'', '*', '】', ']']);
            let lower = label.get(label.len().saturating_sub(8)..).unwrap_or_default().to_ascii_lowercase();
            if LABELS.iter().any(|word| label.ends_with(word) || word.is_ascii() && lower.ends_with(word)) {
                return Self::Label;
            }
            return Self::Edge;
        }
        if ["姓名", "户名", "收款人姓名", "开户名"].iter().any(|word| trimmed.ends_with(word)) {
            return Self::Label;
        }
        // 贷款申请人司马懿之配偶诸葛婉儿.
        let role = |text: &str| ROLES.iter().any(|word| text.ends_with(word));
        if INTRODUCTIONS.iter().any(|word| trimmed.ends_with(word)) || role(trimmed) {
            return Self::Introduction;
        }
        if TAKERS.iter().any(|word| trimmed.ends_with(word)) {
            return Self::Taker;
        }
        match trimmed.chars().next_back() {
            None => Self::Edge,
            Some(c) if !is_han(c) && !c.is_ascii_alphanumeric() => Self::Edge,
            Some(_) => Self::None,
        }
    }
}
