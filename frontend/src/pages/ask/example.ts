// The demonstration's sales table, and what its Chinese names mean in it.
import type { Aliases } from "./table";

export const QUESTIONS = ["华北地区2019年3月的销售额,用折线图表示。", "Show me a line chart of profit for East China in 2020."];

export const ALIASES: Aliases = {
  华北: "North China",
  华东: "East China",
  华南: "South China",
  华中: "Central China",
  西北: "Northwest China",
  西南: "Southwest China",
  东北: "Northeast China",
  北京: "Beijing",
  上海: "Shanghai",
  天津: "Tianjin",
  重庆: "Chongqing",
  广东: "Guangdong",
  江苏: "Jiangsu",
  浙江: "Zhejiang",
  山东: "Shandong",
  四川: "Sichuan",
  湖北: "Hubei",
  河南: "Henan",
  福建: "Fujian",
  陕西: "Shaanxi",
  销售额: "sales",
  利润: "profit",
  成本: "cost",
  订单量: "orders",
  客户数: "customers",
  退货率: "return rate",
  毛利率: "gross margin",
  库存: "inventory",
  访问量: "visits",
  客单价: "average order value",
};

/** The table's text; it comes with the console, in a file of its own. */
export const exampleTable = async () => (await import("../../../../platform/slipway_demo/data/sales.csv?raw")).default;
